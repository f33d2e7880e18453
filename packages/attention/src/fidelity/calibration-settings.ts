// The options of calibrate, checked.
import { HipError, resolveConfig, type HipConfig } from '@hip/mask-search';
import type { RunOptions } from './model.ts';

export interface CalibrateOptions {
  /** The search that is calibrated. @defaultValue DEFAULT_CONFIG */
  readonly config?: Partial<HipConfig> | undefined;
  /** Mean keys of a sparse layer's heads. Not with `maxKl` or `keys`, which search it. @defaultValue the configuration's */
  readonly k?: number | undefined;
  /** Take the smallest `k` whose mean KL from dense is at most this, in 10⁻³ nats. */
  readonly maxKl?: number | undefined;
  /** Take the largest `k` with at most so many keys a row, sinks and window among them, and pseudo-keys besides. */
  readonly keys?: number | undefined;
  /** Layers that stay dense. @defaultValue the configuration's first `denseLayers` */
  readonly denseLayers?: readonly number[] | undefined;
  /** Fewest blocks of a head. @defaultValue 4 */
  readonly minBlocks?: number | undefined;
  /** First token whose row counts. @defaultValue the half */
  readonly from?: number | undefined;
  /** Blocks of rows whose probabilities are summed, evenly over the text from `from` on: all of them take a dense layer's time again, and more. @defaultValue 32 */
  readonly rowBlocks?: number | undefined;
  /** Tokens that run through the layers at once, a multiple of the configuration's `blockQ`. @defaultValue 1024 */
  readonly chunkTokens?: number | undefined;
  /** Whether to measure in which layers the remainder helps; else all have it that the configuration gives it. @defaultValue true */
  readonly remainder?: boolean | undefined;
  /** Name of the model, for the profile. */
  readonly name?: string | undefined;
  /** How a configuration is run. @defaultValue `hipModelAttention`'s, with `dense: 'never'` */
  readonly run?: ((config: HipConfig) => RunOptions) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Tokens of the run under way, of which there are several. */
  readonly onProgress?:
    | ((progress: { readonly run: string; readonly tokens: number; readonly total: number }) => void)
    | undefined;
}

export interface CalibrationSettings {
  readonly config: HipConfig;
  readonly text: Int32Array;
  readonly k: number;
  readonly bound: { readonly name: 'maxKl' | 'keys'; readonly value: number } | undefined;
  readonly denseLayers: ReadonlySet<number>;
  readonly minBlocks: number;
  readonly from: number;
  readonly chunkTokens: number;
  /** First rows of the blocks that are sampled, ascending. */
  readonly starts: readonly number[];
  readonly remainder: boolean;
  readonly run: (config: HipConfig) => RunOptions;
}

/** @throws HipError `invalid-config` */
export function resolveCalibration(
  ids: readonly number[] | Int32Array,
  options: CalibrateOptions,
): CalibrationSettings {
  const config = resolveConfig(options.config);
  const fail = (name: string, value: unknown, fix: string): never => {
    throw new HipError('invalid-config', `${name} is ${String(value)}: ${fix}`, { name, value });
  };
  const integer = (name: string, value: number, least: number, most = Infinity): number => {
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Infinity ? `an integer >= ${least}` : `an integer from ${least} to ${most}`;
    return fail(name, value, `give ${range}`);
  };
  const { blockQ, blockK } = config;
  if (config.shareHeads) fail('shareHeads', true, 'heads with one mask have one budget: set it to false');
  if (!config.causal) fail('causal', false, 'a language model is calibrated: leave it out');
  const tokens = integer('ids.length', ids.length, 2 * blockQ);
  const from = integer('from', options.from ?? tokens >> 1, 0, tokens - blockQ);
  const k = integer('k', options.k ?? config.k, blockK);
  if (k % blockK !== 0) fail('k', k, `give a multiple of blockK = ${blockK}`);
  const bounds = (['maxKl', 'keys'] as const).filter((name) => options[name] !== undefined);
  if (bounds.length > 1) fail('keys', options.keys, 'give maxKl or keys, not both');
  const [name] = bounds;
  const value = name && options[name]!;
  if (name && options.k !== undefined) fail('k', options.k, `${name} searches it: leave one out`);
  if (name && !(Number.isFinite(value) && value! > 0)) fail(name, value, 'give a number > 0');
  const chunkTokens = integer('chunkTokens', options.chunkTokens ?? Math.ceil(1024 / blockQ) * blockQ, 1);
  if (chunkTokens % blockQ !== 0) fail('chunkTokens', chunkTokens, `give a multiple of blockQ = ${blockQ}`);
  const denseLayers = options.denseLayers ?? Array.from({ length: config.denseLayers }, (_, layer) => layer);
  for (const layer of denseLayers) integer('denseLayers', layer, 0);
  return {
    config,
    text: Int32Array.from(ids),
    k,
    bound: name && { name, value: value! },
    denseLayers: new Set(denseLayers),
    minBlocks: integer('minBlocks', options.minBlocks ?? 4, 0),
    from,
    chunkTokens,
    starts: evenly(
      Math.ceil(from / blockQ),
      Math.floor(tokens / blockQ),
      integer('rowBlocks', options.rowBlocks ?? 32, 1),
    ).map((block) => block * blockQ),
    remainder: (options.remainder ?? true) && config.remainder !== undefined,
    run: options.run ?? ((given) => ({ config: given, dense: 'never' })),
  };
}

/** At most `count` integers of [from, to), evenly, the last one among them. */
function evenly(from: number, to: number, count: number): number[] {
  const there = Math.max(0, to - from);
  const taken = Math.min(count, there);
  return Array.from({ length: taken }, (_, i) => from + Math.floor(((i + 1) * there) / taken) - 1);
}
