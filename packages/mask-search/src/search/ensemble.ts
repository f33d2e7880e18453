// Ensembles (docs/specification/hip.md §2): several tree searches, all but the first with random splits in the middle rounds, whose survivors vote.
import type { EnsembleConfig } from '../config/config.ts';
import type { MemoryMeter } from '../work.ts';
import { randomAt } from './random.ts';
import { selectLargest } from './select.ts';
import { treeRounds, treeSearch, type HalfScore } from './tree.ts';

/** Blocks an ensemble can keep at most. */
export function ensembleCapacity(keep: number, { members, votes = 1, truncate = false }: EnsembleConfig): number {
  return truncate ? keep : Math.floor((keep * members) / votes);
}

/**
 * Searches `members` times and keeps the blocks with at least `votes` votes. With one vote and no truncation the result contains the
 * plain search's. Cost: members times the tree search's.
 *
 * @param place names the query block, mixed into the seed
 * @returns blocks, ascending
 */
export function ensembleSearch(
  blocks: number,
  keep: number,
  { members, votes = 1, truncate = false, rounds }: EnsembleConfig,
  {
    seed,
    place,
    score,
    meter,
  }: { readonly seed: number; readonly place: number; readonly score: HalfScore; readonly meter?: MemoryMeter },
): number[] {
  const [from, to] = rounds ?? [1, Math.max(2, treeRounds(blocks, keep) - 1)];
  const tally = new Map<number, number>();
  for (let member = 0; member < members; member++) {
    const random = randomAt(seed, place, member);
    const leftSize = ({ size }: { readonly size: number }, round: number): number =>
      member > 0 && size > 1 && round >= from && round < to
        ? 1 + Math.floor(random() * (size - 1))
        : Math.floor(size / 2);
    for (const block of treeSearch(blocks, keep, score, { leftSize, meter }))
      tally.set(block, (tally.get(block) ?? 0) + 1);
  }
  const elected = [...tally].filter(([, count]) => count >= votes).sort(([a], [b]) => a - b);
  const kept = truncate
    ? selectLargest(
        elected.map(([, count]) => count),
        keep,
      ).map((i) => elected[i]!)
    : elected;
  return kept.map(([block]) => block);
}
