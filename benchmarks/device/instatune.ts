// The benchmark `instatune` on a machine without a workspace: unpacks what was carried, runs on webgpu, writes rows as they come.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environment } from '../src/benchmark.ts';
import { unpack } from './container.ts';

const carry = process.env['CARRY'] ?? '.carry';
const shared = process.env['SHARED_DIR'] ?? '/tmp/shared';
const out = process.env['OUT'] ?? 'out';
process.env['SHARED_DIR'] = shared;
process.env['INSTATUNE_BACKEND'] ??= 'webgpu';
mkdirSync(join(shared, 'spec'), { recursive: true });
writeFileSync(join(shared, 'spec/hip.md'), '');
for (const name of ['books', 'books-teacher', 'cifar10', 'sst2', 'sst2-minilm']) {
  const source = join(carry, `instatune-${name}.pack`);
  if (existsSync(source)) unpack(source, shared);
}
const { benchmark } = await import('../src/instatune.ts');
const start = performance.now();
const abort = new AbortController();
const limit = Number(process.env['INSTATUNE_TOTAL_SECONDS'] ?? 0);
if (limit > 0) setTimeout(() => abort.abort(new Error(`stopped after ${limit} s`)), limit * 1000).unref();
const result = await benchmark.run({
  quick: process.argv.includes('--quick'),
  signal: abort.signal,
  log: (line) => process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} ${line}\n`),
});
writeFileSync(
  join(out, `instatune-${process.env['INSTATUNE_SECTIONS'] ?? 'all'}.json`),
  `${JSON.stringify({ name: benchmark.name, environment: { ...environment(), ...result.environment }, rows: result.rows }, undefined, 2)}\n`,
);
process.exit();
