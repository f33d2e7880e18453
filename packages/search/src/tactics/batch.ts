// Which of the inner search's candidates to measure: those that together add the most hypervolume to what is measured.
import { Breath } from '@instatune/nsga2';
import { totalViolation, type Bound } from '../constraints.ts';
import { widthOf } from '../range.ts';
import { feasibleTrials, frontOf } from '../run/front.ts';
import type { Space } from '../space.ts';
import type { Trial } from '../study/trial.ts';
import { Frontier } from './frontier.ts';
import type { Predicted } from './inner.ts';
import { bestFronts } from './ranked.ts';

export interface BatchOptions {
  readonly space: Space;
  readonly trials: readonly Trial[];
  /** What is predicted for candidates that are being measured. */
  readonly believed?: readonly Readonly<Record<string, number>>[];
  readonly bounds: readonly Bound[];
  readonly predicted: readonly Predicted[];
  /** What a candidate may turn out to be, with weights that sum to 1. @defaultValue what is predicted for it */
  readonly outcomes?: (candidate: Predicted) => readonly Outcome[];
  readonly count: number;
  /** Most of them below the highest level of likelihood, as long as there are others. @defaultValue all */
  readonly bold?: number;
  /** Keys to avoid; grows by the keys chosen. */
  readonly seen: Set<string>;
  readonly breath?: Breath | undefined;
}

export interface Outcome {
  readonly point: readonly number[];
  readonly weight: number;
}

/** Fronts looked at before candidates are taken in order of rank only. */
const POOL = 400;

/**
 * Where the border of what can be measured may lie: in each of these, what is less likely than the number cannot be. One border for all
 * candidates, as a classifier errs for all of them alike.
 */
const BORDERS = [0.1, 0.3, 0.5, 0.7, 0.9];

/**
 * Up to `count` unseen candidates. The pool is the best fronts of what the inner search saw (least violation first where nothing is feasible). From it,
 * the batch is built one by one, always the candidate that adds the most hypervolume to the measured front and the batch so far, on average
 * over where the border of what can be measured may be; when nothing adds any, by rank.
 */
export async function chooseBatch(options: BatchOptions): Promise<readonly Predicted[]> {
  const { predicted, count, seen } = options;
  const fresh = predicted.filter(({ key }) => !seen.has(key));
  const pool = poolOf(fresh, Math.max(POOL, 4 * count));
  if (pool.length < count) {
    pool.push(
      ...fresh
        .filter(({ violation }) => violation > 0)
        .sort((a, b) => a.violation - b.violation)
        .slice(0, count - pool.length),
    );
  }
  const chosen = pool.length <= count ? pool : await greedy(options, pool);
  for (const { key } of chosen) seen.add(key);
  return chosen;
}

/** The best fronts inside the bounds, of each level of likelihood; the likely ones first. */
function poolOf(fresh: readonly Predicted[], most: number): Predicted[] {
  const feasible = fresh.filter(({ violation }) => violation === 0);
  const levels = [...new Set(feasible.map(({ level = 0 }) => level))].sort((a, b) => b - a);
  const pools = levels.map((level) =>
    bestFronts(
      feasible.filter((candidate) => (candidate.level ?? 0) === level),
      ({ objectives }) => objectives,
      Math.ceil(most / levels.length),
    ),
  );
  const longest = Math.max(0, ...pools.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) => pools.flatMap((pool) => pool.slice(i, i + 1))).flat();
}

/** Measured and believed points. */
function knownPoints({ space, trials, believed = [], bounds }: BatchOptions): readonly (readonly number[])[] {
  return [
    ...frontOf(space, feasibleTrials(trials, bounds)).map(({ values }) => space.minimised(values)),
    ...believed.filter((values) => totalViolation(bounds, values) === 0).map((values) => space.minimised(values)),
  ];
}

async function greedy(options: BatchOptions, pool: readonly Predicted[]): Promise<readonly Predicted[]> {
  const {
    count,
    breath = new Breath(),
    bold = count,
    outcomes = ({ objectives }) => [{ point: objectives, weight: 1 }],
  } = options;
  const measured = knownPoints(options);
  const all = [...measured, ...pool.map(({ objectives }) => objectives)];
  const lows = pool[0]!.objectives.map((_, i) => Math.min(...all.map((point) => point[i]!)));
  const widths = lows.map((low, i) => widthOf(low, Math.max(...all.map((point) => point[i]!))));
  const scale = (point: readonly number[]) =>
    point.map((value, i) => (widths[i]! > 0 ? (value - lows[i]!) / widths[i]! : 0));
  const reference = lows.map(() => 1.1);
  const front = measured.map(scale);
  // Without a classifier there is no border to be unsure of.
  const borders = pool.some(({ likely }) => likely !== undefined) ? BORDERS : [0];
  const fronts = borders.map((border) => ({ border, front: new Frontier(front, reference) }));
  const gainOf = (points: readonly Outcome[], likely: number): number => {
    let sum = 0;
    for (const { border, front: one } of fronts) {
      if (likely < border) continue;
      for (const { point, weight } of points) sum += weight * one.gain(point);
    }
    return sum / fronts.length;
  };
  // Hypervolume is submodular: a gain computed earlier is an upper bound of the gain now (lazy greedy, Minoux 1978).
  const heap = pool.map((candidate, index) => ({
    candidate,
    index,
    likely: candidate.likely ?? 1,
    point: scale(candidate.objectives),
    points: outcomes(candidate).map(({ point, weight }) => ({ point: scale(point), weight })),
    gain: Infinity,
  }));
  for (const one of heap) {
    one.gain = gainOf(one.points, one.likely);
    await breath.take();
  }
  const highest = Math.max(...pool.map(({ level = 0 }) => level));
  const isBold = ({ level = 0 }: Predicted): boolean => level < highest;
  const chosen: Predicted[] = [];
  while (chosen.length < count && heap.length > 0) {
    let best = -1;
    const isFull = chosen.filter(isBold).length >= bold && heap.some(({ candidate }) => !isBold(candidate));
    for (;;) {
      best = heap.reduce((top, one, i) => {
        if (isFull && isBold(one.candidate)) return top;
        return top < 0 || one.gain > heap[top]!.gain ? i : top;
      }, -1);
      const gain = gainOf(heap[best]!.points, heap[best]!.likely);
      if (gain === heap[best]!.gain) break;
      heap[best]!.gain = gain;
      await breath.take();
    }
    const [top] = heap.splice(best, 1);
    chosen.push(top!.candidate);
    for (const { border, front: one } of fronts) if (top!.likely >= border) one.add(top!.point);
  }
  return chosen;
}
