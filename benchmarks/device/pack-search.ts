// Prepares the searches' benchmarks for a machine of many cores and no network: node benchmarks/device/pack-search.ts FOLDER. Node (node.xz of
// pack.mjs) goes beside it, Optuna's and pymoo's wheels into FOLDER/whl; there, the copy of benchmarks/device/search.sh.
import { cpSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { sharedPath } from '@hip/testing';

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, '../../.carry'));
const tables = sharedPath('data', 'nas');
if (!tables) throw new Error('needs ../shared/data/nas: set SHARED_DIR');

// Where benchmarks/peers/tasks.py looks for the tables: beside the repository.
mkdirSync(join(folder, 'repo/benchmarks'), { recursive: true });
for (const name of ['dynas-t', 'hat'])
  cpSync(join(tables, name), join(folder, 'shared/data/nas', name), { recursive: true });
cpSync(join(here, '../peers'), join(folder, 'repo/benchmarks/peers'), {
  recursive: true,
  filter: (path) => !path.includes('__pycache__'),
});
for (const name of ['search.sh', 'search-jobs.py']) cpSync(join(here, name), join(folder, name));
const bundle = await rolldown({
  input: join(here, 'search.ts'),
  platform: 'node',
  external: (id) => /^(sharp|bullmq|ioredis|node:|@huggingface\/hub)/.test(id),
  // Of what tests share only where the data is: browsers and bundlers stay here.
  resolve: {
    mainFields: ['module', 'main'],
    alias: { '@hip/testing': join(here, '../../packages/testing/src/shared-data.ts') },
  },
  logLevel: 'silent',
});
const target = join(folder, 'repo/search.mjs');
await bundle.write({ file: target, format: 'esm', codeSplitting: false });
process.stdout.write(`${target} ${statSync(target).size} bytes\n`);
