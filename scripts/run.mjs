// The one door to the workspace on a bare machine: `npm run demo`, `npm test`, `npm run bench` all come through here.
import { install, run, toolchain, ROOT } from './toolchain.mjs';
import { join } from 'node:path';

const [task, ...args] = process.argv.slice(2);
let tools;
try {
  tools = toolchain();
  await install(tools);
} catch (error) {
  process.stderr.write(`[setup] ${error.message}\n`);
  process.exit(1);
}

let interrupted = false;
process.on('SIGINT', () => (interrupted = true));

/** Turbo ends with 0 when it is interrupted before it has done anything: nothing must run after that. */
async function turbo(...turboArgs) {
  const ended = await run('turbo', ['run', ...turboArgs, '--output-logs=errors-only', '--log-order=grouped'], tools);
  return interrupted ? { ...ended, code: 130 } : ended;
}

const script = (path, ...scriptArgs) =>
  run(tools.node, ['--disable-warning=ExperimentalWarning', join(ROOT, path), ...scriptArgs], tools);

async function main() {
  switch (task) {
    case 'demo': {
      const built = await turbo('codegen');
      return built.code === 0 ? (await script('apps/demo/src/cli/main.ts', ...args)).code : built.code;
    }
    case 'chat': {
      // Standard output is the answer's alone.
      const built = await run('turbo', ['run', 'codegen', '--output-logs=errors-only'], { ...tools, capture: true });
      if (built.code !== 0) process.stderr.write(built.output);
      if (built.code !== 0 || interrupted) return built.code || 130;
      return (await script('packages/llm/src/cli/main.ts', ...args)).code;
    }
    case 'bench': {
      const built = await turbo('codegen');
      return built.code === 0 ? (await script('benchmarks/src/cli.ts', ...args)).code : built.code;
    }
    case 'test':
      return (await script('scripts/test.mjs', ...args)).code;
    case 'docs': {
      const built = await turbo('codegen');
      return built.code === 0 ? (await run('pnpm', ['--filter', './docs', 'run', 'site'], tools)).code : built.code;
    }
    // What they pack is built first: a tarball of yesterday's build proves nothing.
    case 'packages-check':
    case 'runtimes': {
      const built = await turbo('build');
      const path = task === 'runtimes' ? 'scripts/runtimes.mjs' : 'scripts/check-packages.mjs';
      return built.code === 0 ? (await script(path, ...args)).code : built.code;
    }
    case 'turbo':
      return (await run('turbo', ['run', ...args], tools)).code;
    case 'script':
      return (await script(args[0], ...args.slice(1))).code;
    case 'exec':
      return (await run(args[0], args.slice(1), tools)).code;
    default:
      process.stderr.write(
        `unknown task "${task ?? ''}": use demo, chat, test, bench, docs, turbo TASK or exec COMMAND\n`,
      );
      return 2;
  }
}

process.exitCode = await main();
