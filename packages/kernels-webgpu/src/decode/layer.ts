// How one layer of a model attends, checked and completed: by HiP, to everything, or to its last keys only.
import {
  checkScore,
  decodeConfig,
  denseKeys,
  HipError,
  resolveConfig,
  resolveDenseBelow,
  resolveRemainder,
  type DenseBelow,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';

export interface LayerOptions extends ScoreOptions {
  /** Query heads. */
  readonly heads: number;
  /** `refreshInterval` and the stages' `refresh` say how long a search is reused. @defaultValue DEFAULT_CONFIG */
  readonly config?: Partial<HipConfig> | 'dense' | undefined;
  /** Sliding window: rows attend to exactly their last keys, their own among them, without any search. @defaultValue none */
  readonly window?: number | undefined;
  /** Keys up to which a layer that searches attends to all of them. @defaultValue 0 */
  readonly denseBelow?: DenseBelow | number | undefined;
}

/** {@link LayerOptions} with nothing left open. */
export interface Layer extends ScoreOptions {
  readonly heads: number;
  /** Undefined where nothing is searched. */
  readonly config: HipConfig | undefined;
  /** What steps run: `config`, without its vote where they attend to all candidates. */
  readonly stepConfig: HipConfig | undefined;
  /** Steps by which the window of a reused search can grow. */
  readonly interval: number;
  readonly window: number | undefined;
  readonly denseBelow: DenseBelow;
}

/** Sizes of the cache that the layer attends to. */
export interface LayerCacheSizes {
  readonly kvHeads: number;
  readonly offload: boolean;
  /** Buffers over which the kv heads are spread. */
  readonly pools: number;
}

/** @throws HipError `invalid-config`, `invalid-shape`, `unsupported` where a shared mask's keys lie in several pools */
export function resolveLayer(
  { heads, config: given, window, denseBelow = 0, scale, softcap }: LayerOptions,
  sizes: LayerCacheSizes,
): Layer {
  const { kvHeads } = sizes;
  checkScore({ scale, softcap });
  if (!Number.isSafeInteger(heads) || heads < 1 || heads % kvHeads !== 0)
    throw new HipError('invalid-shape', `heads is ${heads}, kvHeads ${kvHeads}: heads must be a multiple of kvHeads`, {
      heads,
      kvHeads,
    });
  if (window !== undefined && (!Number.isSafeInteger(window) || window < 1))
    throw new HipError('invalid-config', `window is ${window}: give an integer >= 1, or leave it out`, {
      name: 'window',
      value: window,
    });
  const below = resolveDenseBelow(denseBelow);
  const config = given === 'dense' || window !== undefined ? undefined : resolveConfig(given);
  const common = { heads, scale, softcap, window, denseBelow: below };
  if (!config) return { ...common, config, stepConfig: undefined, interval: 0 };
  checkConfig(config, sizes);
  const stepConfig = decodeConfig(config);
  const { stages, refreshInterval } = stepConfig;
  const intervals = stages?.map(({ refresh }) => refresh ?? refreshInterval) ?? [refreshInterval];
  return { ...common, config, stepConfig, interval: Math.max(...intervals) };
}

/** Whether `rows` rows, the last of which sees `keys` keys, search. */
export function searches({ config, denseBelow }: Layer, keys: number, rows: number): boolean {
  return config !== undefined && keys > denseKeys(denseBelow, rows);
}

function checkConfig({ causal, shareHeads, remainder, window }: HipConfig, { offload, pools }: LayerCacheSizes): void {
  if (!causal) throw new HipError('unsupported', 'decoding is causal: leave config.causal true', { name: 'causal' });
  if (shareHeads && pools > 1)
    throw new HipError(
      'unsupported',
      `a shared mask needs all kv heads in one pool, this cache has ${pools}: set shareHeads to false, or hold fewer tokens`,
      { pools },
    );
  if (!remainder) return;
  // A block could hold the newest key, or one whose page lies on the host.
  const least = offload ? resolveRemainder(remainder).block : 1;
  if (window >= least) return;
  const message = `window is ${window}: decoding with a remainder${least > 1 ? ' and pages on the host' : ''} takes at least ${least}`;
  throw new HipError('unsupported', message, { name: 'window', value: window });
}
