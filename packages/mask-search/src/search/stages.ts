// Multi-stage pruning (hip.md §3): each stage keeps the best chunks of what the stage before left.
import type { SearchStage } from '../config.ts';
import type { QueryBlock } from './geometry.ts';
import type { BlockScorer, Envelope } from './scorer.ts';
import { selectLargest } from './select.ts';

/** Best key of tokens [start, end), found by a local binary search: two reads a level, the better half survives. */
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

/**
 * Runs all stages for one query block.
 *
 * @param scorerOf the block's scorer for a stage's rows
 * @param envelopeOf the chunk summaries of a stage of kind `bound`
 * @returns first token (relative to the sink) of each surviving chunk of the last stage, ascending
 */
export function stagedSearch(
  block: QueryBlock,
  { sink, stages }: { readonly sink: number; readonly stages: readonly SearchStage[] },
  scorerOf: (stage: SearchStage) => BlockScorer,
  envelopeOf: (stage: SearchStage) => Envelope,
): number[] {
  const { searchable } = block;
  let previous: { readonly chunk: number; readonly starts: readonly number[] } = { chunk: searchable, starts: searchable > 0 ? [0] : [] };
  for (const stage of stages) {
    const candidates: number[] = [];
    for (const start of previous.starts) {
      for (let token = start; token < Math.min(start + previous.chunk, searchable); token += stage.chunk) candidates.push(token);
    }
    const keep = stage.keep / stage.chunk;
    if (candidates.length <= keep) {
      previous = { chunk: stage.chunk, starts: candidates };
      continue;
    }
    const scorer = scorerOf(stage);
    const score = (token: number): number => {
      const first = sink + token;
      switch (stage.score) {
        case 'bound':
          return scorer.bound(envelopeOf(stage), token / stage.chunk);
        case 'exact': {
          let best = -Infinity;
          for (let key = first; key < first + stage.chunk; key++) best = Math.max(best, scorer.key(key));
          return best;
        }
        case 'binary':
          return binarySearchScore(first, sink + Math.min(token + stage.chunk, searchable), (key) => scorer.key(key));
      }
    };
    const kept = selectLargest(candidates.map(score), keep);
    previous = { chunk: stage.chunk, starts: kept.map((i) => candidates[i]!) };
  }
  return [...previous.starts];
}

