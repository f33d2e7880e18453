// Which of the inner search's candidates to measure: those that together add the most predicted hypervolume to what is measured.
import { totalViolation, type Bound } from '../constraints.ts';
import { widthOf } from '../range.ts';
import { feasibleTrials, frontOf, volume } from '../run/front.ts';
import type { Space } from '../space.ts';
import type { Trial } from '../study/trial.ts';
import type { Predicted } from './inner.ts';
import { bestFronts } from './ranked.ts';

export interface BatchOptions {
  readonly space: Space;
  readonly trials: readonly Trial[];
  /** What is predicted for candidates that are being measured. */
  readonly believed?: readonly Readonly<Record<string, number>>[];
  readonly bounds: readonly Bound[];
  readonly predicted: readonly Predicted[];
  readonly count: number;
  /** Keys to avoid; grows by the keys chosen. */
  readonly seen: Set<string>;
}

/** Fronts looked at before candidates are taken in order of rank only. */
const POOL = 400;

/**
 * Up to `count` unseen candidates. The pool is the best fronts of what the inner search saw (least violation first where nothing is feasible). From it,
 * the batch is built one by one, always the candidate that adds the most hypervolume to the measured front and the batch so far; when
 * nothing adds any, by rank.
 */
export function chooseBatch({
  space,
  trials,
  believed = [],
  bounds,
  predicted,
  count,
  seen,
}: BatchOptions): readonly Predicted[] {
  const fresh = predicted.filter(({ key }) => !seen.has(key));
  const feasible = fresh.filter(({ violation }) => violation === 0);
  const pool: Predicted[] = [];
  if (feasible.length > 0) {
    pool.push(...bestFronts(feasible, ({ objectives }) => objectives, Math.max(POOL, 4 * count)));
  }
  if (pool.length < count) {
    pool.push(
      ...fresh
        .filter(({ violation }) => violation > 0)
        .sort((a, b) => a.violation - b.violation)
        .slice(0, count - pool.length),
    );
  }
  const measured = [
    ...frontOf(space, feasibleTrials(trials, bounds)).map(({ values }) => space.minimised(values)),
    ...believed.filter((values) => totalViolation(bounds, values) === 0).map((values) => space.minimised(values)),
  ];
  const chosen = greedyHypervolume(pool, measured, count);
  for (const { key } of chosen) seen.add(key);
  return chosen;
}

function greedyHypervolume(
  pool: readonly Predicted[],
  measured: readonly (readonly number[])[],
  count: number,
): readonly Predicted[] {
  if (pool.length <= count) return pool;
  const width = pool[0]!.objectives.length;
  const all = [...measured, ...pool.map(({ objectives }) => objectives)];
  const lows = Array.from({ length: width }, (_, i) => Math.min(...all.map((point) => point[i]!)));
  const widths = lows.map((low, i) => widthOf(low, Math.max(...all.map((point) => point[i]!))));
  const scale = (point: readonly number[]) =>
    point.map((value, i) => (widths[i]! > 0 ? (value - lows[i]!) / widths[i]! : 0));
  const reference = Array.from({ length: width }, () => 1.1);
  let front = measured.map(scale);
  let total = volume(front, reference);
  // Hypervolume is submodular: a gain computed earlier is an upper bound of the gain now (lazy greedy, Minoux 1978).
  const heap = pool.map((candidate, index) => ({
    candidate,
    index,
    point: scale(candidate.objectives),
    gain: Infinity,
  }));
  const chosen: Predicted[] = [];
  while (chosen.length < count && heap.length > 0) {
    heap.sort((a, b) => b.gain - a.gain || a.index - b.index);
    const top = heap[0]!;
    const gain = volume([...front, top.point], reference) - total;
    const next = heap[1]?.gain ?? -Infinity;
    if (gain < next) {
      top.gain = gain;
      continue;
    }
    heap.shift();
    chosen.push(top.candidate);
    front = [...front.filter((other) => !top.point.every((value, i) => value <= other[i]!)), top.point];
    total += Math.max(0, gain);
  }
  return chosen;
}
