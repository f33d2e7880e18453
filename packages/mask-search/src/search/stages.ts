// Multi-stage pruning (docs/specification/hip.md §3): each stage keeps the best chunks of what the stage before left.
import type { MassStage, ScoredStage, SearchStage } from '../config/stages.ts';
import type { MemoryMeter } from '../work.ts';
import { isSummary } from '../config/stages.ts';
import type { KeySummary } from './envelope.ts';
import type { BlockScorer } from './scorer.ts';
import { selectLargest } from './select.ts';

/** What a stage leaves: chunks of `chunk` tokens, first token of each relative to the sink, ascending. */
export interface ChunkSet {
  readonly chunk: number;
  readonly starts: readonly number[];
}

/** What the stages of one query block work on. */
export interface StageContext {
  readonly sink: number;
  /** Tokens to search, [sink, sink + searchable). */
  readonly searchable: number;
  /** The block's scorer for a stage's rows. */
  readonly scorerOf: (stage: ScoredStage) => BlockScorer;
  /** The mass that the block's rows give to each chunk; first tokens relative to the sink. */
  readonly massesOf: (stage: MassStage, tokens: readonly number[]) => ArrayLike<number>;
  /** The chunk summaries of a stage of kind `bound` or `deviation`. */
  readonly summaryOf: (stage: ScoredStage) => KeySummary;
  readonly meter?: MemoryMeter | undefined;
}

/**
 * Best key of tokens [start, end), found by a local binary search: two reads a level, the better half survives, the best score seen
 * counts. Cost 2·ceil(log2(end − start)) scores.
 */
export function binarySearchScore(start: number, end: number, score: (key: number) => number): number {
  let first = start;
  let size = end - start;
  if (size === 1) return score(first);
  let best = -Infinity;
  while (size > 1) {
    const left = Math.floor(size / 2);
    const right = size - left;
    const leftScore = score(first + Math.floor(left / 2));
    const rightScore = score(first + left + Math.floor(right / 2));
    best = Math.max(best, leftScore, rightScore);
    if (rightScore > leftScore) first += left;
    size = rightScore > leftScore ? right : left;
  }
  return best;
}

/** One chunk's score in a stage; `token` is its first, relative to the sink. */
function chunkScore(
  stage: ScoredStage,
  token: number,
  scorer: BlockScorer,
  { sink, searchable, summaryOf }: StageContext,
): number {
  const first = sink + token;
  if (isSummary(stage.score)) return scorer.summary(summaryOf(stage), token / stage.chunk);
  if (stage.score === 'binary')
    return binarySearchScore(first, sink + Math.min(token + stage.chunk, searchable), (key) => scorer.key(key));
  let best = -Infinity;
  for (let key = first; key < first + stage.chunk; key++) best = Math.max(best, scorer.key(key));
  return best;
}

/** Cuts what is left into the stage's chunks and keeps the best. Cost: candidates · (2·log2(chunk), 2 or chunk) scores. */
export function runStage(stage: SearchStage, previous: ChunkSet, context: StageContext): ChunkSet {
  const candidates: number[] = [];
  for (const start of previous.starts) {
    const end = Math.min(start + previous.chunk, context.searchable);
    for (let token = start; token < end; token += stage.chunk) candidates.push(token);
  }
  const keep = stage.keep / stage.chunk;
  if (candidates.length <= keep) return { chunk: stage.chunk, starts: candidates };
  const scorer = stage.score === 'mass' ? undefined : context.scorerOf(stage);
  const held = candidates.length * 2 + (scorer?.size ?? 0);
  context.meter?.hold(held);
  const scores =
    stage.score === 'mass'
      ? context.massesOf(stage, candidates)
      : candidates.map((token) => chunkScore(stage, token, scorer!, context));
  const kept = selectLargest(scores, keep);
  context.meter?.release(held);
  return { chunk: stage.chunk, starts: kept.map((i) => candidates[i]!) };
}

/**
 * Runs the stages one after another for one query block. The first costs searchable / chunk scores (with a whole prefill
 * O(T² / (chunk·blockQ))), later ones are bounded by the `keep` before them.
 *
 * @param done outputs of the first stages, from an earlier search of the same tokens
 * @returns every stage's output; the last one's is the answer
 */
export function stagedSearch(
  stages: readonly SearchStage[],
  context: StageContext,
  done: readonly ChunkSet[] = [],
): ChunkSet[] {
  const outputs = [...done];
  for (const stage of stages.slice(done.length)) {
    const all = { chunk: Math.max(1, context.searchable), starts: context.searchable > 0 ? [0] : [] };
    outputs.push(runStage(stage, outputs.at(-1) ?? all, context));
  }
  return outputs;
}
