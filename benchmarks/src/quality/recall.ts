// Share of the attention mass that each search keeps, on the queries and keys of a real model's layers and on random ones.
import * as tf from '@tensorflow/tfjs';
import { denseModelAttention, prepareAttention } from '@hip/attention';
import { massRecall, type AttentionShape, type BlockMask } from '@hip/mask-search';
import { loadCheckpoint, prefill, type AttentionFunction } from '@instatune/supernet';
import type { CpuRuntime } from '@hip/kernels-cpu';
import { baselineMask, configOf, RECALLED } from './methods.ts';
import { PrefixCache } from './prefix-cache.ts';

/** Queries of the last chunk, at the end of the text. */
const QUERIES = 1024;
/** Rows whose mass is summed, spread over the chunk. */
const ROWS = 16;

interface Layer {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly shape: AttentionShape;
}

/** One row per kind of keys and method: the mean over layers, heads and rows. */
export async function recallRows(
  folder: string,
  text: string,
  tokens: number,
  threads: number,
): Promise<Record<string, unknown>[]> {
  using prepared = await prepareAttention({ threads, matmul: true });
  const cpu = prepared.cpu!;
  const layers = await layersOf(folder, text, tokens);
  const model = folder.split('/').at(-1);
  return [
    ...rowsOf(cpu, layers, { table: 'recall', of: `${model}, mean of its ${layers.length} layers`, tokens }),
    ...rowsOf(cpu, [randomLayer(layers[0]!.shape)], { table: 'recall', of: 'random queries and keys', tokens }),
  ];
}

function rowsOf(cpu: CpuRuntime, layers: readonly Layer[], labels: object): Record<string, unknown>[] {
  const mean = (maskOf: (layer: Layer) => BlockMask): number =>
    Number((layers.reduce((sum, layer) => sum + recallOf(layer, maskOf(layer)), 0) / layers.length).toFixed(4));
  return RECALLED.map((method) => ({
    ...labels,
    method: method.label,
    k: method.k,
    massRecall: mean(({ q, k, shape }) =>
      method.name === 'hip' ? cpu.maskSearch(q, k, shape, configOf(method)) : baselineMask(method, shape),
    ),
  }));
}

function recallOf({ q, k, shape }: Layer, mask: BlockMask): number {
  const rows = Array.from({ length: ROWS }, (_, i) => Math.floor(((i + 1) * shape.queries) / ROWS) - 1);
  return massRecall(q, k, shape, mask, { rows });
}

/** Queries of the last chunk and all keys, of every layer, under dense attention. */
async function layersOf(folder: string, text: string, tokens: number): Promise<Layer[]> {
  const { model, tokenizer } = await loadCheckpoint(folder);
  const layers: Layer[] = [];
  const dense = denseModelAttention();
  const recording: AttentionFunction = (q, k, v, context) => {
    if (k.shape[1] === tokens) {
      const [batch, queries, heads, headDim] = q.shape;
      const shape = { batch, queries, keys: tokens, heads, kvHeads: k.shape[2], headDim };
      layers.push({ q: q.dataSync<'float32'>().slice(), k: k.dataSync<'float32'>().slice(), shape });
    }
    return dense(q, k, v, context);
  };
  const cache = new PrefixCache();
  try {
    const ids = tokenizer!.encode(text, { addSpecialTokens: false }).slice(0, tokens);
    tf.dispose(await prefill(model, ids, cache, { attention: recording, chunkTokens: QUERIES }));
  } finally {
    cache.dispose();
    model.dispose();
  }
  return layers;
}

/** Independent normal numbers: no structure for a search to use. */
function randomLayer(shape: AttentionShape): Layer {
  const normal = (...sizes: number[]): Float32Array =>
    tf.tidy(() =>
      tf
        .randomNormal(sizes, 0, 1, 'float32', 1 + sizes[1]!)
        .dataSync<'float32'>()
        .slice(),
    );
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return { shape, q: normal(batch, queries, heads, headDim), k: normal(batch, keys, kvHeads, headDim) };
}
