// Prepares .carry/, or the folder PACK_TO, for a machine with a GPU and no network: the benchmark in one file, weights and data in packs.
// node benchmarks/device/pack-instatune.ts [PACK…], then on that machine benchmarks/device/studies.sh; with `bundle` the benchmark alone.
import { isBuiltin } from 'node:module';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { sharedDirectory } from '@hip/testing';
import { pack, unpack } from './container.ts';
import { dawnBeside } from './dawn-beside.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const CARRY = resolve(ROOT, process.env['PACK_TO'] ?? '.carry');
const shared = sharedDirectory();
if (!shared) throw new Error('needs ../shared: set SHARED_DIR');

const inFolder = (folder: string) => readdirSync(join(shared, folder)).map((name) => `${folder}/${name}`);
const packs = {
  books: [...inFolder('models/books-lm-6m'), ...inFolder('data/books').filter((path) => path.endsWith('.txt'))],
  'books-teacher': inFolder('models/books-lm-14m'),
  cifar10: [...inFolder('models/vit-cifar'), ...inFolder('data/cifar10')],
  'sst2-minilm': [
    ...inFolder('models/minilm-l6').filter((path) => !path.endsWith('1_Pooling')),
    ...inFolder('data/sst2'),
  ],
  sst2: [...inFolder('models/bert-mini').filter((path) => !path.endsWith('vocab.txt')), ...inFolder('data/sst2')],
};
const only = process.argv.slice(2);
for (const [name, paths] of Object.entries(packs)) {
  if (only.length > 0 && !only.includes(name)) continue;
  const target = join(CARRY, `instatune-${name}.pack`);
  pack(shared, paths, target);
  verify(target, paths);
  process.stdout.write(`${target} ${statSync(target).size} bytes\n`);
}

// What only other sections and backends import.
const absent =
  /^(\.\/instatune\/long-context\.ts|@hip\/kernels-cpu|@tensorflow\/tfjs-backend-wasm|sharp|bullmq|ioredis|node:|@huggingface\/hub)/;
const bundle = await rolldown({
  input: join(ROOT, 'benchmarks/device/instatune.ts'),
  platform: 'node',
  external: (id) => absent.test(id),
  plugins: [dawnBeside],
  resolve: { mainFields: ['module', 'main'] },
  logLevel: 'silent',
});
const { output } = await bundle.write({
  file: join(CARRY, 'instatune.mjs'),
  format: 'esm',
  minify: true,
  codeSplitting: false,
});
const missing = output[0].imports.filter((name) => !isBuiltin(name));
if (missing.length > 0)
  throw new Error(`the bundle cannot start without ${missing.join(', ')}: import it where it is used`);
process.stdout.write(`${join(CARRY, 'instatune.mjs')} ${statSync(join(CARRY, 'instatune.mjs')).size} bytes\n`);

function verify(target: string, paths: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'instatune-pack-'));
  try {
    unpack(target, folder);
    for (const path of paths) {
      const read = (root: string) =>
        path.endsWith('.gz') ? gunzipSync(readFileSync(join(root, path))) : readFileSync(join(root, path));
      if (!read(folder).equals(read(shared!))) throw new Error(`${path} does not come back as it was`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
