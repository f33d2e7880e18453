// A front to which points are offered: what each would add to its hypervolume, cheaply in two objectives.
import { volume } from '../run/front.ts';

/** Minimised points of one front and what they dominate up to a reference. */
export class Frontier {
  readonly #reference: readonly number[];
  /** In two objectives in order: the first ascends, the second descends. */
  #points: (readonly number[])[] = [];
  #volume = 0;

  constructor(points: readonly (readonly number[])[], reference: readonly number[]) {
    this.#reference = reference;
    for (const point of points) this.#insert(point);
    if (reference.length !== 2) this.#volume = volume(this.#points, reference);
  }

  /** The hypervolume that a point would add; 0 for one that is dominated or outside. */
  gain(point: readonly number[]): number {
    if (this.#reference.length === 2) return this.#area(point[0]!, point[1]!);
    if (this.#points.some((other) => covers(other, point))) return 0;
    return Math.max(0, volume([...this.#points, point], this.#reference) - this.#volume);
  }

  add(point: readonly number[]): void {
    this.#insert(point);
    if (this.#reference.length !== 2) this.#volume = volume(this.#points, this.#reference);
  }

  #insert(point: readonly number[]): void {
    if (this.#points.some((other) => covers(other, point))) return;
    this.#points = this.#points.filter((other) => !covers(point, other));
    const at = this.#points.findIndex((other) => other[0]! > point[0]!);
    this.#points.splice(at < 0 ? this.#points.length : at, 0, point);
  }

  /** The steps between the point and the staircase of the front. */
  #area(x: number, y: number): number {
    const [right = 0, top = 0] = this.#reference;
    if (!(x < right && y < top)) return 0;
    const points = this.#points;
    let low = 0;
    for (let high = points.length; low < high;) {
      const middle = (low + high) >> 1;
      if (points[middle]![0]! <= x) low = middle + 1;
      else high = middle;
    }
    let height = low > 0 ? Math.min(top, points[low - 1]![1]!) : top;
    let sum = 0;
    for (let at = x; height > y && at < right; low++) {
      const next = low < points.length ? Math.min(right, points[low]![0]!) : right;
      sum += (next - at) * (height - y);
      at = next;
      height = low < points.length ? Math.min(height, points[low]![1]!) : y;
    }
    return sum;
  }
}

const covers = (a: readonly number[], b: readonly number[]): boolean => a.every((value, k) => value <= b[k]!);
