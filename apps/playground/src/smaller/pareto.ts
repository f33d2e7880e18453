// Which of the measured sub-networks no other one beats.
import type { SubnetPoint } from './protocol.ts';

type Costs = Pick<SubnetPoint, 'number' | 'latency' | 'loss'>;

/** Numbers of the points that no other is at least as fast and as good as, and better in one; the fastest first. */
export function paretoFront(points: readonly Costs[]): number[] {
  const sorted = points.toSorted((a, b) => a.latency - b.latency || a.loss - b.loss);
  let best = Infinity;
  const front: number[] = [];
  for (const { number, loss } of sorted) {
    if (loss >= best) continue;
    best = loss;
    front.push(number);
  }
  return front;
}
