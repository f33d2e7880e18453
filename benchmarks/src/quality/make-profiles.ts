// Makes the profiles that @hip/attention ships: node benchmarks/src/quality/make-profiles.ts [NAME…]. Text: Moby-Dick from its middle,
// which no window of the quality benchmarks reads.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { calibrate, prepareAttention, type CalibrateOptions } from '@hip/attention';
import { sharedPath } from '@hip/testing';
import { loadCheckpoint } from '@instatune/supernet';
import { startTfjs } from '../instatune/backend.ts';

const MODELS: Readonly<Record<string, { readonly path: string; readonly options: CalibrateOptions }>> = {
  'books-lm-6m': { path: 'books-lm-6m', options: { k: 256 } },
  'books-lm-14m': { path: 'books-lm-14m', options: { k: 256 } },
  'smollm2-135m-instruct': {
    path: 'smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf',
    options: { k: 320 },
  },
};
const TOKENS = 4096;

await startTfjs(process.env['HIP_QUALITY_BACKEND'] === 'webgpu' ? 'webgpu' : 'wasm');
using prepared = await prepareAttention({ matmul: true });
process.stderr.write(`${prepared.backend}\n`);
const book = readFileSync(sharedPath('data', 'books', 'herman-melville_moby-dick.txt')!, 'utf8').slice(600_000);
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(MODELS)) {
  const { path, options } = MODELS[name]!;
  const { model, tokenizer } = await loadCheckpoint(sharedPath('models', ...path.split('/'))!);
  const ids = tokenizer!.encode(book.slice(0, 8 * TOKENS), { addSpecialTokens: false }).slice(0, TOKENS);
  let shown = 0;
  const { profile, layers } = await calibrate(model, ids, {
    ...options,
    name,
    remainder: process.env['HIP_REMAINDER'] !== '0',
    onProgress: ({ run, tokens, total }) => {
      if (Date.now() - shown > 10_000) process.stderr.write(`${name} ${run} ${tokens}/${total}\n`);
      shown = Date.now();
    },
  });
  model.dispose();
  const target = fileURLToPath(new URL(`../../../packages/attention/profiles/${name}.json`, import.meta.url));
  writeFileSync(target, `${JSON.stringify(profile)}\n`);
  for (const { layer, heads, outputError } of layers) {
    const shares = heads.map(({ keys, mass }) => `${keys}:${mass.toFixed(3)}`).join(' ');
    process.stdout.write(`${name} layer ${layer} ${shares} ${outputError ? JSON.stringify(outputError) : ''}\n`);
  }
}
