// The parameters of HiP mask search (docs/specification/hip.md §2), their defaults, and their validation.
import { HipError } from '../errors.ts';
import { checkStages, defaultStages, infiniteHipStages, MOST, type SearchStage } from './stages.ts';

/** Which block stands for a half during the tree search; the paper's is the centre. `oracle`: the best of all its blocks, O(T). */
export type Representative = 'center' | 'first' | 'last' | 'random' | 'oracle';

/**
 * Several randomised tree searches whose survivors vote (the paper's ensemble). The first member is the plain search; the
 * others split their nodes at random points in the middle rounds.
 */
export interface EnsembleConfig {
  /** n_e: searches per query block. */
  readonly members: number;
  /** θ: a block stays if at least this many members found it. @defaultValue 1 (the union, the paper's best) */
  readonly votes?: number | undefined;
  /** Keep only the k keys' worth of blocks with most votes (ties: lower index), instead of all. @defaultValue false */
  readonly truncate?: boolean | undefined;
  /** First randomised round and the round after the last one. @defaultValue all but the first and the last round */
  readonly rounds?: readonly [number, number] | undefined;
}

/**
 * Parameters of the HiP mask search (paper §3; defaults of the paper's experiments).
 *
 * All counts are in tokens unless a name says blocks.
 */
export interface HipConfig {
  /** Keys kept by the search per query block, besides sink and window. @defaultValue 512 */
  readonly k: number;
  /** b_q: query rows that share one mask. @defaultValue 64 */
  readonly blockQ: number;
  /** b_k: keys per key block. @defaultValue 2 */
  readonly blockK: number;
  /** b_sq: one query row in `strideQ` is scored, the last of each stride group. @defaultValue 2 */
  readonly strideQ: number;
  /** b_sk: keys `0, strideK, 2·strideK…` of a representative block are scored. @defaultValue 1 */
  readonly strideK: number;
  /**
   * Most recent keys every row always sees (its own position included). Without causality the last ones of the sequence, the same for
   * every row. @defaultValue 256
   */
  readonly window: number;
  /** First keys of the sequence every row always sees. @defaultValue 16 */
  readonly sink: number;
  /** @defaultValue 'center' */
  readonly representative: Representative;
  /** Key j is visible to row i iff j <= i + (Tk − Tq). @defaultValue true */
  readonly causal: boolean;
  /** One mask for all heads (scores are maxed over heads) instead of one mask per head. @defaultValue false */
  readonly shareHeads: boolean;
  /** Decode steps between two searches (r_m). @defaultValue 8 */
  readonly refreshInterval: number;
  /** First layers of a model that keep dense attention (l_d). @defaultValue 3 */
  readonly denseLayers: number;
  /**
   * Multi-stage pruning instead of the tree search; the last stage's chunk is `blockK`, its keep is `k`.
   * @defaultValue see DEFAULT_CONFIG; undefined in PAPER_CONFIG (the tree search)
   */
  readonly stages?: readonly SearchStage[] | undefined;
  /** Several tree searches that vote; tree search only. @defaultValue none */
  readonly ensemble?: EnsembleConfig | undefined;
  /** `k` of layer 0, 1, …; later layers use `k`. Read by `layerConfig`. @defaultValue none */
  readonly kPerLayer?: readonly number[] | undefined;
  /** Seed of the `random` representative and of ensembles. @defaultValue 0 */
  readonly seed: number;
}

/** The paper's parameters (docs/specification/hip.md §2). */
export const PAPER_CONFIG: HipConfig = Object.freeze({
  k: 512,
  blockQ: 64,
  blockK: 2,
  strideQ: 2,
  strideK: 1,
  window: 256,
  sink: 16,
  representative: 'center',
  causal: true,
  shareHeads: false,
  refreshInterval: 8,
  denseLayers: 3,
  seed: 0,
  stages: undefined,
});

/** InfiniteHiP's parameters (docs/specification/hip.md §3): multi-stage pruning, k = 2048, and 4096 in the first three layers. */
export const INFINITE_HIP_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  k: 2048,
  blockK: 8,
  window: 1024,
  sink: 256,
  refreshInterval: 4,
  denseLayers: 0,
  kPerLayer: Object.freeze([4096, 4096, 4096]),
  stages: infiniteHipStages(),
});

/** The shipped default. Chosen by perplexity and pass-key accuracy on real weights (docs: the quality table). */
export const DEFAULT_CONFIG: HipConfig = Object.freeze({
  ...PAPER_CONFIG,
  blockQ: 32,
  blockK: 16,
  denseLayers: 2,
  stages: defaultStages(PAPER_CONFIG.k),
});

/**
 * The default with blocks of 64 rows and means of 8: up to twice as fast on a GPU, whose tiles it fills, and a tenth faster on a CPU.
 * Perplexity is the same within half a percent; one pass-key in four at 32K tokens is lost on the harder model (docs: the quality table).
 */
export const FAST_CONFIG: HipConfig = Object.freeze({
  ...DEFAULT_CONFIG,
  blockQ: 64,
  stages: defaultStages(PAPER_CONFIG.k, 8),
});

const MINIMUM = {
  k: 1,
  blockQ: 1,
  blockK: 1,
  strideQ: 1,
  strideK: 1,
  window: 0,
  sink: 0,
  refreshInterval: 1,
  denseLayers: 0,
  seed: 0,
} as const;

const REPRESENTATIVES: readonly string[] = ['center', 'first', 'last', 'random', 'oracle'] satisfies Representative[];

/**
 * Fills in defaults, also for what is undefined, and checks every value. Another `k` without `stages` adapts the default's stages; `stages: undefined`
 * selects the tree search.
 *
 * @throws HipError `invalid-config` naming the field, the value and the fix
 * @example
 * ```ts
 * import { resolveConfig } from '@hip/mask-search';
 * resolveConfig({ k: 256 }).stages?.at(-1)?.keep; // 256
 * ```
 */
export function resolveConfig(config: Partial<HipConfig> = {}, defaults: HipConfig = DEFAULT_CONFIG): HipConfig {
  checkForm(config);
  const adapted = config.k !== undefined && !('stages' in config) && defaults.stages !== undefined;
  const rows = defaults.stages?.[0]?.strideQ;
  const given = Object.entries(config).filter(([name, value]) => value !== undefined || name === 'stages');
  const merged: HipConfig = {
    ...defaults,
    ...Object.fromEntries(given),
    ...(adapted && { stages: defaultStages(config.k, rows) }),
  };
  for (const [name, minimum] of Object.entries(MINIMUM) as [keyof typeof MINIMUM, number][]) {
    const value = merged[name];
    if (!Number.isSafeInteger(value) || value < minimum) {
      throw new HipError('invalid-config', `${name} is ${value}: give an integer >= ${minimum}`, { name, value });
    }
    if (value > MOST && name !== 'seed')
      throw new HipError('invalid-config', `${name} is ${value}: give at most ${MOST}`, { name, value });
  }
  for (const name of ['causal', 'shareHeads'] as const) {
    const value: unknown = merged[name];
    if (typeof value !== 'boolean')
      throw new HipError('invalid-config', `${name} is ${String(value)}: give true or false`, { name, value });
  }
  if (!REPRESENTATIVES.includes(merged.representative)) {
    const message = `representative is ${merged.representative}: give one of ${REPRESENTATIVES.join(', ')}`;
    throw new HipError('invalid-config', message, { name: 'representative', value: merged.representative });
  }
  if (merged.stages) checkStages(merged.stages, merged);
  checkEnsemble(merged);
  const wrong = merged.kPerLayer?.find((k) => !Number.isSafeInteger(k) || k < 1);
  if (wrong !== undefined) {
    throw new HipError('invalid-config', `kPerLayer holds ${wrong}: give integers >= 1`, {
      name: 'kPerLayer',
      value: wrong,
    });
  }
  return merged;
}

/** What callers without types pass. */
function checkForm(config: unknown): void {
  const fail = (name: string, value: unknown, fix: string): never => {
    throw new HipError('invalid-config', `${name} is ${String(value)}: give ${fix}`, { name, value });
  };
  if (typeof config !== 'object' || config === null) fail('config', config, 'an object, or leave it out');
  const { stages, kPerLayer, ensemble } = config as Record<string, unknown>;
  if (stages !== undefined && !Array.isArray(stages)) fail('stages', stages, 'a list of stages');
  if (kPerLayer !== undefined && !Array.isArray(kPerLayer)) fail('kPerLayer', kPerLayer, 'a list of integers >= 1');
  if (ensemble !== undefined && (typeof ensemble !== 'object' || ensemble === null))
    fail('ensemble', ensemble, '{ members, votes, rounds }');
}

function checkEnsemble({ ensemble, stages }: HipConfig): void {
  if (!ensemble) return;
  const { members, votes = 1, rounds = [0, 0] } = ensemble;
  const fail = (name: string, value: number, fix: string): never => {
    throw new HipError('invalid-config', `ensemble.${name} is ${value}: ${fix}`, { name: 'ensemble', value });
  };
  if (stages) fail('members', members, 'ensembles are of tree searches: set stages to undefined');
  if (!Number.isSafeInteger(members) || members < 1) fail('members', members, 'give an integer >= 1');
  if (!Number.isSafeInteger(votes) || votes < 1 || votes > members)
    fail('votes', votes, `give an integer from 1 to members = ${members}`);
  for (const round of rounds)
    if (!Number.isSafeInteger(round) || round < 0) fail('rounds', round, 'give integers >= 0');
  if (rounds.length !== 2 || rounds[0] > rounds[1]) {
    const message = `ensemble.rounds is [${rounds.join()}]: give the first round and the last`;
    throw new HipError('invalid-config', message, { name: 'ensemble', value: rounds });
  }
}
