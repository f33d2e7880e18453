// The parameters of HiP mask search (hip.md §2), their defaults, and their validation.
import { HipError } from './errors.ts';

/** Which block stands for a half during the tree search; the paper's is the centre. */
export type Representative = 'center' | 'first' | 'last' | 'random' | 'oracle';

/**
 * One stage of multi-stage pruning (InfiniteHiP, arXiv 2502.08910 §3; hip.md §3), generalised by how a chunk is scored.
 *
 * Chunk c covers tokens [sink + c·chunk, sink + (c+1)·chunk). The `keep / chunk` best chunks' tokens are the next stage's
 * candidates.
 */
export interface SearchStage {
  /** Tokens per chunk; a multiple of the next stage's chunk. */
  readonly chunk: number;
  /** Tokens kept; a multiple of `chunk`. */
  readonly keep: number;
  /** Query rows per stride group. */
  readonly strideQ: number;
  /** `max`: the last row of each group is scored. `mean`: the mean of the group's rows is scored. Then the max over groups. */
  readonly rows: 'max' | 'mean';
  /**
   * `binary`: the paper's local binary search for the chunk's best key.
   * `bound`: the largest score any key within the chunk's elementwise minimum and maximum could have.
   * `exact`: the largest score of the chunk's keys.
   */
  readonly score: 'binary' | 'bound' | 'exact';
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
  /** Most recent keys every row always sees (its own position included). @defaultValue 256 */
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
  /** Seed of the `random` representative and of ensembles. @defaultValue 0 */
  readonly seed: number;
}

/** The paper's parameters (hip.md §2). */
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

/**
 * The stages of the shipped default for `k` keys: chunks are bounded by the elementwise envelope of their keys, in which no
 * needle can hide, then the survivors are scored exactly.
 *
 * @param k a multiple of 16
 */
export function defaultStages(k: number): readonly SearchStage[] {
  const bound = (chunk: number, keep: number): SearchStage =>
    Object.freeze({ chunk, keep: Math.ceil(keep / chunk) * chunk, strideQ: 8, rows: 'mean', score: 'bound' });
  return Object.freeze([
    bound(64, 8 * k),
    bound(16, 3 * k),
    Object.freeze({ chunk: 16, keep: k, strideQ: 4, rows: 'max', score: 'exact' } as const),
  ]);
}

/** The shipped default. Chosen by perplexity and pass-key accuracy on real weights (docs: the quality table). */
export const DEFAULT_CONFIG: HipConfig = Object.freeze({ ...PAPER_CONFIG, blockK: 16, denseLayers: 2, stages: defaultStages(PAPER_CONFIG.k) });

/**
 * Fills in defaults and checks every value. Another `k` without `stages` adapts the default's stages; `stages: undefined`
 * selects the tree search.
 *
 * @throws HipError `invalid-config` naming the field, the value and the fix
 */
export function resolveConfig(config: Partial<HipConfig> = {}, defaults: HipConfig = DEFAULT_CONFIG): HipConfig {
  const adapted = config.k !== undefined && !('stages' in config) && defaults.stages !== undefined;
  const merged: HipConfig = { ...defaults, ...config, ...(adapted ? { stages: defaultStages(config.k!) } : {}) };
  const check = (name: keyof HipConfig, minimum: number): void => {
    const value = merged[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < minimum) {
      throw new HipError('invalid-config', `${name} is ${String(value)}: give an integer >= ${minimum}`, { name, value });
    }
  };
  check('k', 1);
  check('blockQ', 1);
  check('blockK', 1);
  check('strideQ', 1);
  check('strideK', 1);
  check('window', 0);
  check('sink', 0);
  check('refreshInterval', 1);
  check('denseLayers', 0);
  check('seed', 0);
  checkStages(merged);
  return merged;
}

function checkStages({ stages, k, blockK, window, causal }: HipConfig): void {
  if (stages === undefined) return;
  const fail = (what: string, value: unknown, fix: string): never => {
    throw new HipError('invalid-config', `${what} is ${String(value)}: ${fix}`, { name: 'stages', value });
  };
  if (stages.length === 0) fail('stages.length', 0, 'give at least one stage, or leave stages undefined for the tree search');
  stages.forEach((stage, i) => {
    for (const name of ['chunk', 'keep', 'strideQ'] as const) {
      const value = stage[name];
      if (!Number.isSafeInteger(value) || value < 1) fail(`stages[${i}].${name}`, value, 'give an integer >= 1');
    }
    if (stage.keep % stage.chunk !== 0) fail(`stages[${i}].keep`, stage.keep, `give a multiple of its chunk ${stage.chunk}`);
    const next = stages[i + 1];
    if (next && stage.chunk % next.chunk !== 0) fail(`stages[${i}].chunk`, stage.chunk, `give a multiple of the next chunk ${next.chunk}`);
    if (next && next.keep > stage.keep) fail(`stages[${i + 1}].keep`, next.keep, `give at most the stage before's ${stage.keep}`);
    if (causal && stage.score === 'bound' && window < stage.chunk) {
      fail('window', window, `give at least stages[${i}].chunk = ${stage.chunk}, or a summary would see keys of the future`);
    }
  });
  const last = stages[stages.length - 1]!;
  if (last.chunk !== blockK) fail('blockK', blockK, `give the last stage's chunk ${last.chunk}`);
  if (last.keep !== k) fail('k', k, `give the last stage's keep ${last.keep}`);
}
