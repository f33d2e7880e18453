// What a mask looks like: one head of a real model over a long text, as a grid of the share of pairs that are attended to.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { hipModelAttention, KvCache, prepareAttention, type ModelAttention } from '@hip/attention';
import { DEFAULT_CONFIG, maskDensity, maskStatistics, massRecall, searchBlockMask } from '@hip/mask-search';
import { loadCheckpoint, prefill } from '@instatune/supernet';
import type { Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';

/** The demo's model, which is in the repository, and a layer and head of it that look far back. */
const MODEL = join(import.meta.dirname, '../../apps/demo/model');
const LAYER = 3;
const HEAD = 2;
const TOKENS = 16_384;
const CHUNK = 4096;
/** Cells across and down. */
const RESOLUTION = 96;
/** Rows over which the kept mass is averaged. */
const SAMPLED_ROWS = 64;

/** A long text that every checkout has: TypeScript's own type definitions. */
function longText(): string {
  const library = dirname(createRequire(import.meta.url).resolve('typescript'));
  return readFileSync(join(library, 'lib.webworker.d.ts'), 'utf8');
}

/** Queries and keys [tokens, d] of one head, as the model computes them. */
async function queriesAndKeys(tokens: number): Promise<{ q: Float32Array; k: Float32Array; headDim: number }> {
  const { model, tokenizer } = await loadCheckpoint(MODEL);
  const ids = Int32Array.from(tokenizer!.encode(longText().slice(0, 6 * tokens))).subarray(0, tokens);
  const { heads, kvHeads, headSize: headDim } = model.config;
  const kvHead = Math.floor(HEAD / (heads / kvHeads));
  const q = new Float32Array(ids.length * headDim);
  let k = new Float32Array();
  let read = 0;
  const attend = hipModelAttention();
  const oneHead = (x: tf.Tensor4D, head: number) =>
    tf.tidy(() => Float32Array.from(x.slice([0, 0, head, 0], [1, -1, 1, -1]).dataSync()));
  const attention: ModelAttention = (queries, keys, values, context) => {
    if (context.layer === LAYER) {
      q.set(oneHead(queries, HEAD), read * headDim);
      read += queries.shape[1];
      k = oneHead(keys, kvHead);
    }
    return attend(queries, keys, values, context);
  };
  const cache = new KvCache();
  (await prefill(model, ids, cache, { attention, chunkTokens: CHUNK })).dispose();
  cache.dispose();
  model.dispose();
  return { q, k, headDim };
}

export const benchmark: Benchmark = {
  name: 'mask',
  description: "one head's mask over a long text, as a grid of how much of each cell is attended to",
  async run({ quick, log }) {
    const environment = await startTfjs('wasm');
    const prepared = await prepareAttention();
    const tokens = quick ? TOKENS / 8 : TOKENS;
    const { q, k, headDim } = await queriesAndKeys(tokens);
    prepared.close();
    log(`searching one head over ${tokens} tokens`);
    const shape = { batch: 1, queries: tokens, keys: tokens, heads: 1, kvHeads: 1, headDim };
    const mask = searchBlockMask(q, k, shape, DEFAULT_CONFIG);
    const rows = Array.from({ length: SAMPLED_ROWS }, (_, i) => Math.floor(((i + 1) * tokens) / SAMPLED_ROWS) - 1);
    const { keysPerRow, density } = maskStatistics(mask);
    return {
      rows: [
        {
          part: 'mask',
          model: 'books-lm-6m',
          layer: LAYER,
          head: HEAD,
          tokens,
          k: DEFAULT_CONFIG.k,
          window: DEFAULT_CONFIG.window,
          sink: DEFAULT_CONFIG.sink,
          keysPerRow: Math.round(keysPerRow.mean),
          shareOfPairs: Number(density.toFixed(4)),
          massRecall: Number(massRecall(q, k, shape, mask, { rows }).toFixed(4)),
        },
        ...maskDensity(mask, { resolution: RESOLUTION }).map((line, row) => ({
          part: 'density',
          row,
          // One hexadecimal digit a cell: fifteenths of its pairs, at least one where there is any.
          shares: Array.from(line, (share) => Math.ceil(share * 15 - 1e-9).toString(16)).join(''),
        })),
      ],
      environment,
    };
  },
};
