// `npm run bench -- NAME [--json FILE] [--quick]`: runs one benchmark and prints {name, environment, rows} as JSON.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineCommand, runMain } from 'citty';
import { environment, type Benchmark } from './benchmark.ts';
import { load, registry } from './registry.ts';

const main = defineCommand({
  meta: { name: 'bench', description: 'Prints the figures of the README as JSON' },
  args: {
    name: { type: 'positional', required: false, description: 'which benchmark; none lists them' },
    json: { type: 'string', description: 'also write the JSON to this file' },
    quick: { type: 'boolean', default: false, description: 'smaller sizes, fewer repeats' },
  },
  async run({ args }) {
    if (!args.name) {
      for (const [name, description] of Object.entries(registry))
        process.stdout.write(`${name.padEnd(14)} ${description}\n`);
      return;
    }
    let benchmark: Benchmark;
    try {
      benchmark = await load(args.name);
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 2;
      return;
    }
    const abort = new AbortController();
    process.once('SIGINT', () => abort.abort());
    const started = performance.now();
    const result = await benchmark.run({
      quick: args.quick,
      signal: abort.signal,
      log: (line) => process.stderr.write(`${line}\n`),
    });
    const document = {
      name: benchmark.name,
      quick: args.quick,
      environment: {
        ...environment(),
        seconds: Math.round((performance.now() - started) / 1000),
        ...result.environment,
      },
      rows: result.rows,
    };
    const text = `${JSON.stringify(document, undefined, 2)}\n`;
    // npm runs scripts in the workspace's root; INIT_CWD is where the user typed the command.
    if (args.json) writeFileSync(resolve(process.env['INIT_CWD'] ?? '.', args.json), text);
    process.stdout.write(text);
  },
});

await runMain(main);
