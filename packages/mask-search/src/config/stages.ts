// Multi-stage pruning's parameters (InfiniteHiP, arXiv 2502.08910 §3; docs/specification/hip.md §3): the stage, the stock lists, their checks.
import { HipError } from '../errors.ts';

/** Most tokens, rows or steps a parameter may count: kernels add such numbers in 32 bits. */
export const MOST = 2 ** 30;

/**
 * One stage of multi-stage pruning, generalised by how a chunk is scored.
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
  /** Decode steps this stage's output is reused for. @defaultValue the configuration's refreshInterval */
  readonly refresh?: number | undefined;
}

/**
 * The stages of the shipped default for `k` keys: chunks are bounded by the elementwise envelope of their keys, in which no
 * needle can hide, then the survivors are scored exactly.
 *
 * @param k a multiple of 16
 * @param rows query rows whose mean is bounded: 4 in DEFAULT_CONFIG, 8 in FAST_CONFIG
 */
export function defaultStages(k: number, rows = 4): readonly SearchStage[] {
  const bound = (chunk: number, keep: number): SearchStage =>
    Object.freeze({ chunk, keep: Math.ceil(keep / chunk) * chunk, strideQ: rows, rows: 'mean', score: 'bound' });
  return Object.freeze([
    bound(64, 8 * k),
    bound(16, 3 * k),
    Object.freeze({ chunk: 16, keep: k, strideQ: 4, rows: 'max', score: 'exact' } as const),
  ]);
}

/** InfiniteHiP's published stages: chunks of 256 → 32768 tokens, 32 → 8192, 8 → k; refreshed every 16, 8 and 4 decode steps. */
export function infiniteHipStages(k = 2048): readonly SearchStage[] {
  const stage = (chunk: number, keep: number, strideQ: number, refresh: number): SearchStage =>
    Object.freeze({ chunk, keep, strideQ, rows: 'max', score: 'binary', refresh });
  return Object.freeze([
    stage(256, Math.max(32768, Math.ceil(k / 256) * 256), 4, 16),
    stage(32, Math.max(8192, Math.ceil(k / 32) * 32), 4, 8),
    stage(8, k, 1, 4),
  ]);
}

/**
 * The same stages for another final budget: the last stage keeps `k` tokens, earlier ones at least as many.
 *
 * @param k a multiple of the last stage's chunk
 */
export function withBudget(stages: readonly SearchStage[], k: number): readonly SearchStage[] {
  const last = stages.length - 1;
  const atLeast = ({ chunk, keep }: SearchStage): number => Math.max(keep, Math.ceil(k / chunk) * chunk);
  const out = stages.map((stage, i) => ({ ...stage, keep: i === last ? k : atLeast(stage) }));
  return out;
}

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
  const fail = (what: string, value: number | string, fix: string): never => {
    throw new HipError('invalid-config', `${what} is ${value}: ${fix}`, { name: 'stages', value });
  };
  const last = stages.at(-1);
  if (last === undefined)
    return fail('stages.length', 0, 'give at least one stage, or leave stages undefined for the tree search');
  stages.forEach((stage, i) => {
    for (const name of ['chunk', 'keep', 'strideQ', 'refresh'] as const) {
      const value = stage[name] ?? 1;
      if (!Number.isSafeInteger(value) || value < 1) fail(`stages[${i}].${name}`, value, 'give an integer >= 1');
      if (value > MOST) fail(`stages[${i}].${name}`, value, `give at most ${MOST}`);
    }
    if (stage.rows !== 'max' && stage.rows !== 'mean') fail(`stages[${i}].rows`, stage.rows, 'give max or mean');
    if (stage.score !== 'binary' && stage.score !== 'bound' && stage.score !== 'exact')
      fail(`stages[${i}].score`, stage.score, 'give binary, bound or exact');
    if (stage.keep % stage.chunk !== 0)
      fail(`stages[${i}].keep`, stage.keep, `give a multiple of its chunk ${stage.chunk}`);
    const next = stages[i + 1];
    if (next && stage.chunk % next.chunk !== 0)
      fail(`stages[${i}].chunk`, stage.chunk, `give a multiple of the next chunk ${next.chunk}`);
    if (next && next.keep > stage.keep)
      fail(`stages[${i + 1}].keep`, next.keep, `give at most the stage before's ${stage.keep}`);
    if (causal && stage.score === 'bound' && window < stage.chunk) {
      fail(
        'window',
        window,
        `give at least stages[${i}].chunk = ${stage.chunk}, or a summary would see keys of the future`,
      );
    }
  });
  if (last.chunk !== blockK) fail('blockK', blockK, `give the last stage's chunk ${last.chunk}`);
  if (last.keep !== k) fail('k', k, `give the last stage's keep ${last.keep}`);
}
