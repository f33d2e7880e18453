// npm run demo: the process around the command line.
import { userFolder } from './arguments.ts';
import { runCommand } from './command.ts';

const controller = new AbortController();
for (const [name, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(name, () => {
    if (controller.signal.aborted) process.exit(status);
    controller.abort(new Error(`interrupted by ${name}`));
  });
}

const { stdout, stderr } = process;
const status = await runCommand(process.argv.slice(2), {
  folder: userFolder(),
  stdout,
  stderr,
  signal: controller.signal,
});
// Worker threads and GPU devices would keep the process up.
process.exit(status);
