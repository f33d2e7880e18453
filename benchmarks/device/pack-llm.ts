// Bundles llm.ts into one file of a folder: node benchmarks/device/pack-llm.ts FOLDER
import { statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { dawnBeside } from './dawn-beside.ts';

const target = join(resolve(process.argv[2] ?? '.carry'), 'llm.mjs');
const bundle = await rolldown({
  input: join(dirname(fileURLToPath(import.meta.url)), 'llm.ts'),
  platform: 'node',
  external: (id) => id.startsWith('node:') || id === '@huggingface/hub',
  plugins: [dawnBeside],
  resolve: { mainFields: ['module', 'main'] },
  logLevel: 'silent',
});
await bundle.write({ file: target, format: 'esm', minify: true, codeSplitting: false });
process.stdout.write(`${target} ${statSync(target).size} bytes\n`);
