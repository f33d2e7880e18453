// Fills .carry/ for benchmarks/device/quality.ts beside what pack.mjs puts there: the benchmark in one file, books and goldens in a pack,
// the model in parts that fit into a call each. Parts go to /tmp/s there, one call after the other.
import { openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown, type Plugin } from 'rolldown';
import { sharedDirectory } from '@hip/testing';
import { pack } from './container.ts';
import { dawnBeside } from './dawn-beside.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const CARRY = join(ROOT, '.carry');
const PARTS = 3;
const shared = sharedDirectory();
if (!shared) throw new Error('needs ../shared: set SHARED_DIR');

const books = ['herman-melville_moby-dick.txt', 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude.txt'];
pack(
  shared,
  ['goldens/smollm2/books.safetensors', ...books.map((book) => `data/books/${book}`)],
  join(CARRY, 'quality.pack'),
);
const model = join(shared, 'models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf');
const bytes = Math.ceil(statSync(model).size / PARTS);
const file = openSync(model, 'r');
for (let part = 0; part < PARTS; part++) {
  const buffer = Buffer.alloc(bytes);
  const read = readSync(file, buffer, 0, bytes, part * bytes);
  writeFileSync(join(CARRY, `model-${part}`), buffer.subarray(0, read));
}

/** What finds files, without the bundlers and browsers that tests need. */
const testing: Plugin = {
  name: 'files-of-testing',
  resolveId: (id) => (id === '@hip/testing' ? join(ROOT, 'packages/testing/src/shared-data.ts') : undefined),
};

const absent = /^(@tensorflow\/tfjs-backend-wasm|sharp|bullmq|ioredis|node:|@huggingface\/hub)/;
const bundle = await rolldown({
  input: join(ROOT, 'benchmarks/device/quality.ts'),
  platform: 'node',
  external: (id) => absent.test(id),
  plugins: [dawnBeside, testing],
  resolve: { mainFields: ['module', 'main'] },
  logLevel: 'silent',
});
await bundle.write({ file: join(CARRY, 'quality.mjs'), format: 'esm', minify: true, codeSplitting: false });
process.stdout.write(`${join(CARRY, 'quality.mjs')} ${statSync(join(CARRY, 'quality.mjs')).size} bytes\n`);
