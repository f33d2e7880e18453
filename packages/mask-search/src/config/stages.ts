// Multi-stage pruning's parameters: stages that score chunks (InfiniteHiP, arXiv 2502.08910 §3) and a last one in which rows vote.
import { HipError } from '../errors.ts';
import { checkFields } from './fields.ts';

/** Most tokens, rows or steps a parameter may count: kernels add such numbers in 32 bits. */
export const MOST = 2 ** 30;

/** Most keys of a block that rows vote on: kernels sum a block's mass in one tile of keys. */
const MOST_VOTED = 16;

interface Stage {
  /** Tokens per chunk; a multiple of the next stage's chunk. */
  readonly chunk: number;
  /** Tokens kept; a multiple of `chunk`. */
  readonly keep: number;
  /** Decode steps this stage's output is reused for. @defaultValue the configuration's refreshInterval */
  readonly refresh?: number | undefined;
}

/** A stage that scores each chunk by its most promising key. */
export interface ScoredStage extends Stage {
  /** Query rows per stride group. */
  readonly strideQ: number;
  /** `max`: the last row of each group is scored. `mean`: the mean of the group's rows is scored. Then the max over groups. */
  readonly rows: 'max' | 'mean';
  /**
   * `binary`: the paper's local binary search for the chunk's best key.
   * `bound`: the largest score any key within the chunk's elementwise minimum and maximum could have.
   * `deviation`: q·mean + 2·√(Σ q²·variance), the score two standard deviations above that of the chunk's mean key.
   * `exact`: the largest score of the chunk's keys.
   */
  readonly score: 'binary' | 'bound' | 'deviation' | 'exact';
  /**
   * Of an `exact` stage. `slow-half`: scores of the slower half of the rotary pairs alone, see {@link MassStage}. @defaultValue 'all'
   */
  readonly dims?: 'all' | 'slow-half' | undefined;
}

/**
 * The vote (docs/specification/hip.md §8): every row of the query block gives each chunk its probability mass, normalised over the
 * sinks, the candidates below the row's window and the window; the chunks with the largest sums stay. A last stage only, 1 to 16 keys
 * a chunk. It needs the attention's `scale` and `softcap`.
 */
export interface MassStage extends Stage {
  readonly score: 'mass';
  /**
   * `slow-half`: logits of the slower half of the rotary pairs alone, channels [d/4, d/2) and [3d/4, d) of vectors whose halves rotate
   * together: half the arithmetic. Heads whose size has no quarters, or that are known to rotate otherwise or not at all, take all of
   * their channels ({@link suitableConfig}). @defaultValue 'all'
   */
  readonly dims?: 'all' | 'slow-half' | undefined;
  /** Every row votes. */
  readonly strideQ?: undefined;
  readonly rows?: undefined;
}

/**
 * One stage of multi-stage pruning, generalised by how a chunk is scored.
 *
 * Chunk c covers tokens [sink + c·chunk, sink + (c+1)·chunk). The `keep / chunk` best chunks' tokens are the next stage's
 * candidates.
 */
export type SearchStage = ScoredStage | MassStage;

/** Stages by what they do: those that score chunks, then the vote on what they left, if there is one. */
export function splitStages(stages: readonly SearchStage[]): {
  readonly scored: readonly ScoredStage[];
  readonly vote: MassStage | undefined;
} {
  const last = stages.at(-1);
  return {
    scored: stages.filter((stage) => stage.score !== 'mass'),
    vote: last?.score === 'mass' ? last : undefined,
  };
}

/**
 * Stages for `k` keys without a vote: chunks are bounded by the elementwise envelope of their keys, in which no needle can
 * hide, then the survivors are scored exactly.
 *
 * @param k a multiple of 16
 * @param rows query rows whose mean is bounded: 4 in BOUND_CONFIG; 8 search faster and find fewer needles (docs/guide/parameters.md)
 */
export function boundStages(k: number, rows = 4): readonly ScoredStage[] {
  const bound = (chunk: number, keep: number): ScoredStage =>
    Object.freeze({ chunk, keep: roundUp(keep, chunk), strideQ: rows, rows: 'mean', score: 'bound' });
  return Object.freeze([
    bound(64, 8 * k),
    bound(16, 3 * k),
    Object.freeze({ chunk: 16, keep: k, strideQ: 4, rows: 'max', score: 'exact' } as const),
  ]);
}

/**
 * Stages with a vote: means and deviations of 64-key chunks leave 4,096 tokens, the largest score of any row leaves 1,536 in chunks of
 * 16, on which every row votes (more of both where `k` wants them). When decoding, the first serves for 8 steps, and each token chooses
 * anew among what it left.
 *
 * @param k a multiple of `blockK`
 * @param blockK keys per block that is voted on, a divisor of 16
 */
export function voteStages(k: number, blockK = 2): readonly SearchStage[] {
  return Object.freeze([
    Object.freeze({
      chunk: 64,
      keep: roundUp(Math.max(4096, 4 * k), 64),
      strideQ: 8,
      rows: 'mean',
      score: 'deviation',
      refresh: 8,
    }),
    Object.freeze({
      chunk: 16,
      keep: roundUp(Math.max(1536, 2 * k), 16),
      strideQ: 1,
      rows: 'max',
      score: 'exact',
      dims: 'slow-half',
      refresh: 1,
    }),
    Object.freeze({ chunk: blockK, keep: k, score: 'mass', dims: 'slow-half', refresh: 1 }),
  ] as const);
}

/** InfiniteHiP's published stages: chunks of 256 → 32768 tokens, 32 → 8192, 8 → k; refreshed every 16, 8 and 4 decode steps. */
export function infiniteHipStages(k = 2048): readonly ScoredStage[] {
  const stage = (chunk: number, keep: number, strideQ: number, refresh: number): ScoredStage =>
    Object.freeze({ chunk, keep, strideQ, rows: 'max', score: 'binary', refresh });
  return Object.freeze([
    stage(256, Math.max(32768, roundUp(k, 256)), 4, 16),
    stage(32, Math.max(8192, roundUp(k, 32)), 4, 8),
    stage(8, k, 1, 4),
  ]);
}

export function roundUp(count: number, multiple: number): number {
  return Math.ceil(count / multiple) * multiple;
}

/**
 * The same stages for another final budget: the last stage keeps `k` tokens, earlier ones at least as many.
 *
 * @param k a multiple of the last stage's chunk
 */
export function withBudget(stages: readonly SearchStage[], k: number): readonly SearchStage[] {
  const last = stages.length - 1;
  const atLeast = ({ chunk, keep }: SearchStage): number => Math.max(keep, roundUp(k, chunk));
  return stages.map((stage, i) => ({ ...stage, keep: i === last ? k : atLeast(stage) }));
}

/**
 * The same stages with another number of candidates for the last one: the stage before it keeps `candidates` tokens, earlier ones at
 * least as many. A single stage, whose candidates are all tokens, stays.
 */
export function withCandidates(stages: readonly SearchStage[], candidates: number): readonly SearchStage[] {
  const last = stages.length - 1;
  return [...withBudget(stages.slice(0, last), candidates), ...stages.slice(last)];
}

type Fail = (what: string, value: unknown, fix: string) => never;

const fail: Fail = (what, value, fix) => {
  throw new HipError('invalid-config', `${what} is ${String(value)}: ${fix}`, { name: 'stages', value });
};

const FIELDS = Object.keys({ chunk: 0, keep: 0, refresh: 0, strideQ: 0, rows: 0, score: 0, dims: 0 } satisfies Record<
  keyof SearchStage,
  0
>);

/** @throws HipError `invalid-config` naming the stage, the value and the fix */
export function checkStages(
  stages: readonly SearchStage[],
  {
    k,
    blockK,
    window,
    causal,
  }: { readonly k: number; readonly blockK: number; readonly window: number; readonly causal: boolean },
): void {
  const last = stages.at(-1);
  if (last === undefined)
    return fail('stages.length', 0, 'give at least one stage, or leave stages undefined for the tree search');
  stages.forEach((stage, i) => {
    const at = `stages[${i}]`;
    if (typeof stage !== 'object' || stage === null) fail(at, stage, 'give { chunk, keep, score, … }');
    checkFields(stage, FIELDS, at);
    for (const name of ['chunk', 'keep', 'refresh'] as const) checkCount(`${at}.${name}`, stage[name] ?? 1);
    if (stage.score === 'mass') checkVote(stage, at, i === stages.length - 1);
    else checkScored(stage, at, { window, causal });
    if (stage.keep % stage.chunk !== 0) fail(`${at}.keep`, stage.keep, `give a multiple of its chunk ${stage.chunk}`);
    const next = stages[i + 1];
    if (next && stage.chunk % next.chunk !== 0)
      fail(`${at}.chunk`, stage.chunk, `give a multiple of the next chunk ${next.chunk}`);
    if (next && next.keep > stage.keep)
      fail(`stages[${i + 1}].keep`, next.keep, `give at most the stage before's ${stage.keep}`);
  });
  if (last.chunk !== blockK) fail('blockK', blockK, `give the last stage's chunk ${last.chunk}`);
  if (last.keep !== k) fail('k', k, `give the last stage's keep ${last.keep}`);
}

function checkCount(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) fail(what, value, 'give an integer >= 1');
  if (value > MOST) fail(what, value, `give at most ${MOST}`);
}

function checkScored(
  { chunk, strideQ, rows, score, dims = 'all' }: ScoredStage,
  at: string,
  { window, causal }: { readonly window: number; readonly causal: boolean },
): void {
  checkCount(`${at}.strideQ`, strideQ);
  if (rows !== 'max' && rows !== 'mean') fail(`${at}.rows`, rows, 'give max or mean');
  if (score !== 'binary' && !isSummary(score) && score !== 'exact')
    fail(`${at}.score`, score, 'give binary, bound, deviation, exact or mass');
  checkDims(dims, at);
  if (dims === 'slow-half' && score !== 'exact') fail(`${at}.dims`, dims, 'only exact and mass stages take it');
  if (causal && isSummary(score) && window < chunk) {
    fail('window', window, `give at least ${at}.chunk = ${chunk}, or a summary would see keys of the future`);
  }
}

function checkDims(dims: string, at: string): void {
  if (dims !== 'all' && dims !== 'slow-half') fail(`${at}.dims`, dims, 'give all or slow-half');
}

/** Whether a stage scores chunks by summaries of their keys. */
export function isSummary(score: SearchStage['score']): score is 'bound' | 'deviation' {
  return score === 'bound' || score === 'deviation';
}

function checkVote(stage: MassStage, at: string, isLast: boolean): void {
  if (!isLast) fail(`${at}.score`, stage.score, 'rows vote in the last stage only');
  if (stage.chunk > MOST_VOTED)
    fail(`${at}.chunk`, stage.chunk, `give at most ${MOST_VOTED} keys a block to a stage that votes`);
  checkDims(stage.dims ?? 'all', at);
  for (const name of ['strideQ', 'rows'] as const) {
    const value: unknown = stage[name];
    if (value !== undefined) fail(`${at}.${name}`, value, 'every row votes: leave it out');
  }
}
