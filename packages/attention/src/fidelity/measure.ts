// How near to dense a model's attention is, on a text: next-token distributions, and what each layer and head loses.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { denseModelAttention, type ModelAttention } from '../model.ts';
import { KvCache } from '../cache.ts';
import { compareRows, Comparison } from './distributions.ts';
import { LayerRecorder, type LayerFidelity } from './layers.ts';
import { hiddenStates, startRun, type MeasuredModel, type Run, type RunOptions } from './model.ts';
import { resolveFidelityOptions, type FidelityOptions, type Settings } from './settings.ts';

/** What one run loses against dense attention. */
export interface RunFidelity {
  readonly name: string;
  /** Mean of KL(dense ‖ run) over next-token distributions, in 10⁻³ nats. */
  readonly kl: number;
  /** Standard error of `kl`, rows taken as independent. */
  readonly klError: number;
  readonly perplexity: number;
  /** Perplexity over that of the dense run. */
  readonly perplexityRatio: number;
  /** Share of rows where both find the same token likeliest. */
  readonly equalArgmax: number;
  /** Keys a row attended to, on average over the layers that attended over a mask; NaN where none did, or `layers` is false. */
  readonly keysPerRow: number;
  /** The same over all layers. */
  readonly keysPerRowAllLayers: number;
  /** Pseudo-keys a row attended to besides, on average over the same layers as `keysPerRow`; 0 without a remainder. */
  readonly pseudoKeysPerRow: number;
  /** By layer; empty where `layers` is false. */
  readonly layers: readonly LayerFidelity[];
}

export interface Fidelity {
  /** Tokens read. */
  readonly tokens: number;
  readonly from: number;
  /** Next-token distributions compared. */
  readonly rows: number;
  /** Of the dense run. */
  readonly perplexity: number;
  readonly runs: readonly RunFidelity[];
}

/**
 * Reads a text with dense attention and with others in step, and says how far apart they are (docs/specification/hip.md §8): the
 * divergence of the next-token distributions, the perplexity; and, on the dense run's own queries, keys and values, each layer's and
 * head's output error and share of attention mass kept. Some thousand tokens of the kind of text that will be read are enough.
 *
 * Memory: a cache for each run and one more, a chunk's activations, and two models' logits of a few rows; never the whole text's. Time:
 * a forward pass for each run and one more; `layers` adds one attention a run and layer.
 *
 * Layers are measured on the chunks that reach beyond `from`, and not where tokens are fed one at a time.
 *
 * @param ids the text, at least 2 tokens
 * @throws HipError `unsupported` before `prepareAttention()`, `invalid-config` for options that make no sense or a text too short,
 * `invalid-shape` for a model that gives no hidden states, `non-finite` with the token, `aborted`; what the model throws
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { measureFidelity, prepareAttention, type MeasuredModel } from '@hip/attention';
 *
 * await tf.setBackend('cpu');
 * using prepared = await prepareAttention();
 * // With weights: const { model } = await loadCheckpoint(folder), of @instatune/supernet. Here a layer that says its own words.
 * const words = tf.randomNormal([50, 16], 0, 1, 'float32', 1) as tf.Tensor2D;
 * const model: MeasuredModel = {
 *   forward({ inputIds }, { cache, attention }) {
 *     const x = tf.reshape(tf.gather(words, tf.reshape(inputIds, [-1])), [1, -1, 1, 16]) as tf.Tensor4D;
 *     const { k, v } = cache.append(0, x, x);
 *     return { logits: tf.reshape(attention(x, k, v, { layer: 0, causal: true, scale: 0.25 }), [1, -1, 16]) };
 *   },
 *   languageLogits: (hidden) => tf.matMul(hidden, words, false, true),
 * };
 * const text = Int32Array.from({ length: 512 }, (_, i) => (i * i * 7) % 50);
 * const small = { config: { k: 64, window: 64, sink: 4, denseLayers: 0 }, dense: 'never' } as const;
 * const { runs } = await measureFidelity(model, text, { runs: { small, dense: { dense: 'always' } }, chunkTokens: 128 });
 * console.log(runs.map(({ name, kl }) => [name, kl > 0.1])); // => [ [ 'small', true ], [ 'dense', false ] ]
 * console.log(runs.map(({ keysPerRowAllLayers }) => Math.round(keysPerRowAllLayers)), prepared.backend); // => [ 132, 385 ] cpu
 * ```
 */
export async function measureFidelity(
  model: MeasuredModel,
  ids: readonly number[] | Int32Array,
  options: FidelityOptions,
): Promise<Fidelity> {
  const settings = resolveFidelityOptions(ids, options);
  const { tokens, from, chunks } = settings;
  const names = Object.keys(options.runs);
  const measured: Measured[] = [];
  const exact: Run & { cache: KvCache } = { attention: denseModelAttention(), cache: new KvCache() };
  try {
    for (const name of names) measured.push(startMeasured(name, options.runs[name]!, settings.layers));
    const text = Int32Array.from(ids);
    for (const { start, end, isDecoded } of chunks) {
      if (options.signal?.aborted)
        throw new HipError(
          'aborted',
          'measureFidelity was aborted',
          { tokens: start },
          { cause: options.signal.reason },
        );
      const part = text.subarray(start, end);
      const recorders = isDecoded || end <= from ? [] : measured.flatMap(({ recorder }) => recorder ?? []);
      const attention =
        recorders.length === 0 ? exact.attention : recording(exact.attention, recorders, settings.sampled(start, end));
      const hidden = hiddenStates(model, part, { attention, cache: exact.cache });
      const others: tf.Tensor2D[] = [];
      try {
        if (recorders.length > 0) await hidden.data();
        for (const recorder of recorders) await recorder.settle();
        for (const run of measured) others.push(hiddenStates(model, part, run));
        await compare(model, { hidden, others, text, start, end, from }, measured, settings);
      } finally {
        tf.dispose([hidden, ...others]);
      }
      options.onProgress?.({ tokens: end, total: tokens });
      // Gives timers and the signal a turn on backends that compute in this thread.
      await new Promise((done) => setTimeout(done, 0));
    }
    const runs: RunFidelity[] = [];
    for (const { name, comparison, recorder } of measured) {
      const layers = (await recorder?.layers()) ?? [];
      runs.push({ name, ...comparison.summary(), ...keysOf(layers), layers });
    }
    return { tokens, from, rows: tokens - 1 - from, perplexity: measured[0]!.comparison.exactPerplexity, runs };
  } finally {
    exact.cache.dispose();
    for (const { cache, recorder } of measured) {
      cache.dispose();
      recorder?.dispose();
    }
  }
}

interface Measured extends Run {
  readonly name: string;
  readonly comparison: Comparison;
  readonly recorder: LayerRecorder | undefined;
}

function startMeasured(name: string, options: RunOptions, layers: boolean): Measured {
  const recorder = layers ? new LayerRecorder(options) : undefined;
  return { name, ...startRun(options), comparison: new Comparison(), recorder };
}

/** The dense run's attention, each call shown to the recorders. */
function recording(
  dense: ModelAttention,
  recorders: readonly LayerRecorder[],
  rows: readonly number[],
): ModelAttention {
  return (q, k, v, context) => {
    const out = dense(q, k, v, context);
    for (const recorder of recorders) recorder.record([q, k, v], out, context, rows);
    return out;
  };
}

interface Part {
  readonly hidden: tf.Tensor2D;
  /** One a run. */
  readonly others: readonly tf.Tensor2D[];
  readonly text: Int32Array;
  readonly start: number;
  readonly end: number;
  readonly from: number;
}

/** Adds a chunk's rows to the runs' comparisons, a few at a time: the exact logits of each row are computed once. */
async function compare(
  model: MeasuredModel,
  { hidden, others, text, start, end, from }: Part,
  measured: readonly Measured[],
  settings: Settings,
): Promise<void> {
  // The last token of the text has no next one.
  const last = Math.min(end, text.length - 1);
  for (let at = Math.max(start, from); at < last;) {
    const rows = Math.min(settings.logitRows, last - at);
    const logits = (of: tf.Tensor2D): tf.Tensor2D =>
      tf.tidy(() => model.languageLogits(tf.slice2d(of, [at - start, 0], [rows, of.shape[1]])));
    const exact = logits(hidden);
    const targets = tf.tensor1d(text.subarray(at + 1, at + 1 + rows), 'int32');
    try {
      for (const [i, { name, comparison }] of measured.entries()) {
        const approximate = logits(others[i]!);
        try {
          comparison.add(await compareRows(exact, approximate, targets), at, name);
        } finally {
          approximate.dispose();
        }
      }
      settings.learn(exact.shape[1]);
    } finally {
      tf.dispose([exact, targets]);
    }
    at += rows;
  }
}

function keysOf(
  layers: readonly LayerFidelity[],
): Pick<RunFidelity, 'keysPerRow' | 'keysPerRowAllLayers' | 'pseudoKeysPerRow'> {
  const sparse = layers.filter(({ isSparse }) => isSparse);
  const mean = (of: readonly LayerFidelity[], read: (layer: LayerFidelity) => number): number =>
    of.reduce((sum, layer) => sum + read(layer), 0) / of.length;
  return {
    keysPerRow: mean(sparse, ({ keysPerRow }) => keysPerRow),
    keysPerRowAllLayers: mean(layers, ({ keysPerRow }) => keysPerRow),
    pseudoKeysPerRow: mean(sparse, ({ pseudoKeysPerRow }) => pseudoKeysPerRow),
  };
}
