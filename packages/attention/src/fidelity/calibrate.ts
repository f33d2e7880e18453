// Budgets by head, dense layers and the remainder's layers of a model, from one dense run: a profile.
import { HipError, type HipConfig, type LayerOverride } from '@hip/mask-search';
import { budgetsOf, massOf } from './budgets.ts';
import { resolveCalibration, type CalibrateOptions, type CalibrationSettings } from './calibration-settings.ts';
import { denseRun } from './dense-run.ts';
import { fingerprintOf } from './fingerprint.ts';
import { LayerRecorder } from './layers.ts';
import { MassCurves, type MassCurve } from './mass-curves.ts';
import { measureFidelity, type RunFidelity } from './measure.ts';
import type { MeasuredModel } from './model.ts';
import { loadProfile, PROFILE_VERSION, type CalibrationProfile } from './profile.ts';

/** Blocks of a curve, each head's best. */
const ENTRIES = 2048;
/** `k` is searched in steps of about so many keys. */
const STEP = 16;

export interface CalibratedHead {
  /** Keys it was given. */
  readonly keys: number;
  /** Share of its probability mass that its best blocks below the window hold, as many as it was given. */
  readonly mass: number;
  /** Mean mass of its best, second best … block, not increasing. */
  readonly curve: MassCurve;
}

export interface CalibratedLayer {
  readonly layer: number;
  readonly isDense: boolean;
  readonly heads: readonly CalibratedHead[];
  /** ‖output − dense output‖₂ / ‖dense output‖₂ with the remainder and without; absent where it was not measured. */
  readonly outputError?: { readonly remainder: number; readonly none: number } | undefined;
}

export interface Calibration {
  /** To be stored as JSON. */
  readonly profile: CalibrationProfile;
  readonly layers: readonly CalibratedLayer[];
  /** Every `k` that was measured for a bound, in that order; empty without one. */
  readonly tried: readonly (RunFidelity & { readonly k: number })[];
}

/**
 * Finds what each head of a model needs (docs/specification/hip.md §8.2, §8.5): a dense run over a text gives, in every layer and head,
 * the mean probability mass of a block of rows' best key blocks; the layer's keys go to the heads where the next block holds most. A
 * second run measures in which layers the remainder brings the output nearer. With `maxKl` or `keys`, `k` is searched by bisection over
 * `measureFidelity`.
 *
 * A few thousand tokens of any text will do. Only some blocks of rows (32) are looked at, evenly over the second half; memory for one
 * of them at a time, [H, blockQ, tokens], never [tokens, tokens].
 *
 * @param ids the text, at least two blocks of rows
 * @throws HipError `unsupported` before `prepareAttention()`, `invalid-config` for options that make no sense and for a bound that no
 * `k` meets, `aborted`; what the model throws
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { calibrate, prepareAttention, type MeasuredModel } from '@hip/attention';
 *
 * await tf.setBackend('cpu');
 * using prepared = await prepareAttention();
 * // With weights: const { model } = await loadCheckpoint(folder), of @instatune/supernet. Here a layer with a sure head and a lukewarm one.
 * const words = tf.randomNormal([50, 16], 0, 1, 'float32', 1) as tf.Tensor2D;
 * const model: MeasuredModel = {
 *   forward({ inputIds }, { cache, attention }) {
 *     const x = tf.reshape(tf.gather(words, tf.reshape(inputIds, [-1])), [1, -1, 1, 16]) as tf.Tensor4D;
 *     const { k, v } = cache.append(0, x, x);
 *     const out = attention(tf.concat([tf.mul(x, 4), x], 2), k, v, { layer: 0, causal: true, scale: 0.25 });
 *     return { logits: tf.reshape(tf.slice(out, [0, 0, 0, 0], [1, -1, 1, 16]), [1, -1, 16]) };
 *   },
 *   languageLogits: (hidden) => tf.matMul(hidden, words, false, true),
 * };
 * const text = Int32Array.from({ length: 1024 }, (_, i) => Math.floor(i / 64) % 8);
 * const { profile } = await calibrate(model, text, { k: 128, denseLayers: [], remainder: false });
 * const [sure, lukewarm] = profile.layers[0]!.kPerHead!;
 * console.log([sure! < lukewarm!, sure! + lukewarm!, prepared.backend]); // => [ true, 256, 'cpu' ]
 * ```
 */
export async function calibrate(
  model: MeasuredModel,
  ids: readonly number[] | Int32Array,
  options: CalibrateOptions = {},
): Promise<Calibration> {
  const settings = resolveCalibration(ids, options);
  const fingerprint = await fingerprintOf(model);
  const curves = await curvesOf(model, settings, options);
  const layersOf = (k: number): LayerOverride[] => planOf(curves, settings, k);
  const errors = settings.remainder ? await remainderErrors(model, layersOf(settings.k), settings, options) : undefined;
  const plan = (k: number): LayerOverride[] =>
    layersOf(k).map((layer, index) => {
      const error = errors?.get(index);
      return error && error.none < error.remainder ? { ...layer, remainder: false } : layer;
    });
  const tried: Calibration['tried'][number][] = [];
  const measure = async (k: number): Promise<RunFidelity> => {
    const config = configOf(settings, plan(k));
    const { runs } = await measureFidelity(model, settings.text, {
      runs: { [`k=${k}`]: settings.run(config) },
      from: settings.from,
      chunkTokens: settings.chunkTokens,
      massRows: 0,
      signal: options.signal,
      onProgress: (progress) => options.onProgress?.({ run: `k=${k}`, ...progress }),
    });
    tried.push({ ...runs[0]!, k });
    return runs[0]!;
  };
  const k = settings.bound ? await searchBudget(settings, curves, measure) : settings.k;
  const layers = plan(k);
  const { kl, perplexityRatio, keysPerRow, pseudoKeysPerRow } = tried.find((run) => run.k === k) ?? {};
  const { blockQ, blockK, window, sink } = settings.config;
  const profile = loadProfile({
    version: PROFILE_VERSION,
    model: { ...(options.name !== undefined && { name: options.name }), fingerprint, heads: headsOf(curves) },
    text: { tokens: settings.text.length, from: settings.from, rowBlocks: settings.starts.length },
    config: { k, blockQ, blockK, window, sink },
    layers,
    ...(kl !== undefined && { measured: { kl, perplexityRatio, keysPerRow, pseudoKeysPerRow } }),
  });
  return { profile, layers: describe(curves, layers, settings, errors), tried };
}

type Curves = ReadonlyMap<number, readonly MassCurve[]>;
type Errors = ReadonlyMap<number, { readonly remainder: number; readonly none: number }>;

async function curvesOf(
  model: MeasuredModel,
  { config, text, starts, chunkTokens }: CalibrationSettings,
  { signal, onProgress }: CalibrateOptions,
): Promise<Curves> {
  const curves = new MassCurves(config, ENTRIES);
  try {
    await denseRun(model, text, {
      chunkTokens,
      signal,
      onCall: ({ q, k, context, start }) => {
        // A sliding layer attends to its window; there is nothing to search.
        if (context.window !== undefined) return;
        const within = starts.filter((row) => row >= start && row < start + chunkTokens);
        curves.record(
          q,
          k,
          context,
          within.map((row) => row - start),
        );
      },
      settle: () => curves.settle(),
      onTokens: (tokens) => onProgress?.({ run: 'curves', tokens, total: text.length }),
    });
  } finally {
    curves.dispose();
  }
  return curves.curves();
}

function planOf(curves: Curves, { config, denseLayers, minBlocks }: CalibrationSettings, k: number): LayerOverride[] {
  const count = Math.max(-1, ...curves.keys(), ...denseLayers) + 1;
  return Array.from({ length: count }, (_, layer) => {
    const heads = curves.get(layer);
    if (denseLayers.has(layer)) return { dense: true };
    return heads ? { kPerHead: budgetsOf(heads, { k, blockK: config.blockK, minBlocks }) } : {};
  });
}

function configOf({ config }: CalibrationSettings, layers: readonly LayerOverride[]): HipConfig {
  return { ...config, denseLayers: 0, layers };
}

/** Output errors with the remainder in every layer and in none, on the dense run's own queries, keys and values. */
async function remainderErrors(
  model: MeasuredModel,
  layers: readonly LayerOverride[],
  settings: CalibrationSettings,
  { signal, onProgress }: CalibrateOptions,
): Promise<Errors> {
  const { text, chunkTokens, from } = settings;
  const off = layers.map((layer): LayerOverride => ({ ...layer, remainder: false }));
  const recorders = [layers, off].map((plan) => new LayerRecorder(settings.run(configOf(settings, plan))));
  try {
    await denseRun(model, text, {
      chunkTokens,
      signal,
      onCall: ({ q, k, v, out, context, start }) => {
        if (start + q.shape[1] <= from) return;
        for (const recorder of recorders) recorder.record([q, k, v], out, context, []);
      },
      settle: async () => {
        for (const recorder of recorders) await recorder.settle();
      },
      onTokens: (tokens) => onProgress?.({ run: 'remainder', tokens, total: text.length }),
    });
    const [remainder, none] = await Promise.all(recorders.map((recorder) => recorder.layers()));
    return new Map(
      remainder!.flatMap(({ layer, isSparse, outputError }, i) =>
        isSparse ? [[layer, { remainder: outputError, none: none![i]!.outputError }] as const] : [],
      ),
    );
  } finally {
    for (const recorder of recorders) recorder.dispose();
  }
}

/** The `k` that meets the bound: the smallest for a distance, the largest for a number of keys. */
async function searchBudget(
  { config, bound, text }: CalibrationSettings,
  curves: Curves,
  measure: (k: number) => Promise<RunFidelity>,
): Promise<number> {
  const { name, value } = bound!;
  const step = Math.ceil(STEP / config.blockK) * config.blockK;
  const most = Math.max(1, Math.ceil(Math.min(ENTRIES * config.blockK, text.length) / step));
  const isMet = async (steps: number): Promise<boolean> => {
    const { kl, keysPerRow } = await measure(steps * step);
    return name === 'maxKl' ? kl <= value : keysPerRow <= value;
  };
  const refuse = (best: number, run: RunFidelity): never => {
    const reached = name === 'maxKl' ? run.kl : run.keysPerRow;
    const message = `${name} is ${value}: with k = ${best} it is ${Number(reached.toPrecision(4))}; allow more, keep more layers dense, or use a longer text`;
    throw new HipError('invalid-config', message, { name, value, reached, k: best });
  };
  if (curves.size === 0) throw new HipError('invalid-config', 'the model has no layer to search in', { name });
  // Invariant: `bad` does not meet the bound, `good` does.
  let [bad, good] = name === 'maxKl' ? [0, most] : [most + 1, 1];
  const outermost = await measure(good * step);
  if (!(name === 'maxKl' ? outermost.kl <= value : outermost.keysPerRow <= value)) refuse(good * step, outermost);
  while (Math.abs(good - bad) > 1) {
    const middle = (good + bad) >> 1;
    if (await isMet(middle)) good = middle;
    else bad = middle;
  }
  return good * step;
}

const headsOf = (curves: Curves): number => Math.max(1, ...[...curves.values()].map((heads) => heads.length));

function describe(
  curves: Curves,
  layers: readonly LayerOverride[],
  { config }: CalibrationSettings,
  errors: Errors | undefined,
): CalibratedLayer[] {
  return [...curves].map(([layer, heads]) => {
    const { dense = false, kPerHead } = layers[layer]!;
    return {
      layer,
      isDense: dense,
      heads: heads.map((curve, head) => {
        const keys = kPerHead?.[head] ?? 0;
        return { keys, mass: massOf(curve, keys, config.blockK), curve };
      }),
      outputError: errors?.get(layer),
    };
  });
}
