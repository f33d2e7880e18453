// The benchmark `quality-smollm2` on a machine without a workspace: puts the model's parts together, runs on webgpu, keeps rows as they come.
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { environment } from '../src/benchmark.ts';
import { unpack } from './container.ts';

const carry = process.env['CARRY'] ?? '.carry';
const shared = process.env['SHARED_DIR'] ?? '/tmp/shared';
const out = process.env['OUT'] ?? 'out';
process.env['SHARED_DIR'] = shared;
process.env['HIP_QUALITY_BACKEND'] ??= 'webgpu';
process.env['HIP_QUALITY_KEEP'] ??= join(out, 'kept.json');
mkdirSync(join(shared, 'spec'), { recursive: true });
writeFileSync(join(shared, 'spec/hip.md'), '');
unpack(join(carry, 'quality.pack'), shared);
const folder = join(shared, 'models/smollm2-135m-instruct');
const file = join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf');
// Parts that earlier calls left: the whole does not travel in one.
if (!existsSync(file)) {
  mkdirSync(folder, { recursive: true });
  const parts = process.env['MODEL_PARTS'] ?? '/tmp/s';
  for (const part of readdirSync(parts).toSorted())
    await pipeline(createReadStream(join(parts, part)), createWriteStream(file, { flags: 'a' }));
}
const { benchmark } = await import('../src/quality-smollm2.ts');
const start = performance.now();
const abort = new AbortController();
const limit = Number(process.env['TOTAL'] ?? 0);
if (limit > 0) setTimeout(() => abort.abort(new Error(`stopped after ${limit} s`)), limit * 1000).unref();
const result = await benchmark.run({
  quick: process.argv.includes('--quick'),
  signal: abort.signal,
  log: (line) => process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} ${line}\n`),
});
writeFileSync(
  join(out, 'quality-smollm2.json'),
  `${JSON.stringify({ name: benchmark.name, environment: { ...environment(), ...result.environment }, rows: result.rows }, undefined, 2)}\n`,
);
process.exit();
