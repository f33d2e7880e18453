// `npm run bench -- NAME [--json FILE] [--quick]`: runs one benchmark and prints {name, environment, rows} as JSON.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineCommand, runMain } from 'citty';
import { environment } from './benchmark.ts';
import { registry } from './registry.ts';

const main = defineCommand({
  meta: { name: 'bench', description: 'Prints the figures of the README as JSON' },
  args: {
    name: { type: 'positional', required: false, description: 'which benchmark; none lists them' },
    json: { type: 'string', description: 'also write the JSON to this file' },
    quick: { type: 'boolean', default: false, description: 'smaller sizes, fewer repeats' },
  },
  async run({ args }) {
    if (!args.name) {
      for (const [name, [description]] of Object.entries(registry)) process.stdout.write(`${name.padEnd(16)} ${description}\n`);
      return;
    }
    const entry = registry[args.name];
    if (!entry) {
      process.stderr.write(`no benchmark "${args.name}": use one of ${Object.keys(registry).join(', ')}\n`);
      process.exitCode = 2;
      return;
    }
    const { benchmark } = await entry[1]();
    const abort = new AbortController();
    process.once('SIGINT', () => abort.abort());
    const result = await benchmark.run({
      quick: args.quick,
      signal: abort.signal,
      log: (line) => process.stderr.write(`${line}\n`),
    });
    const document = { name: benchmark.name, quick: args.quick, environment: { ...environment(), ...result.environment }, rows: result.rows };
    const text = `${JSON.stringify(document, undefined, 2)}\n`;
    if (args.json) writeFileSync(resolve(process.env['INIT_CWD'] ?? '.', args.json), text);
    process.stdout.write(text);
  },
});

await runMain(main);
