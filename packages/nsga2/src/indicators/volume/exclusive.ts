// What one point dominates alone: its box less the volume of the others limited to it.
import { descending } from './order.ts';
import { Staircase } from './staircase.ts';
import { volumeOf } from './volume.ts';

/** Exclusive volumes of points of a set, of which some may be gone. */
export class Exclusive {
  private readonly gains: Float64Array;
  private readonly size: number;
  private readonly dimension: number;
  private readonly limited: Float64Array;
  /** In two and three objectives: rows by descending last gain, an order that limiting does not change. */
  private readonly order: Int32Array;
  private readonly stairs: Staircase;

  /** @param gains [size, dimension], all positive */
  constructor(gains: Float64Array, size: number, dimension: number) {
    this.gains = gains;
    this.size = size;
    this.dimension = dimension;
    const isSwept = dimension === 2 || dimension === 3;
    this.limited = new Float64Array(isSwept ? 0 : size * dimension);
    this.order = descending(gains, isSwept ? size : 0, dimension, dimension - 1);
    this.stairs = new Staircase(isSwept ? size : 0);
  }

  /**
   * Volume that a row dominates and no other live row does. 0, not a rounding error, where another covers it.
   *
   * @param live 1 for each row that counts
   */
  of(row: number, live: Uint8Array): number {
    if (this.isCovered(row, live)) return 0;
    const others = this.dimension === 2 ? this.swept2(row, live) : this.dimension === 3 ? this.swept3(row, live) : -1;
    return Math.max(0, this.box(row) - (others < 0 ? this.anyDimension(row, live) : others));
  }

  private box(row: number): number {
    let box = 1;
    for (let k = 0; k < this.dimension; k++) box *= this.gains[row * this.dimension + k]!;
    return box;
  }

  private isCovered(row: number, live: Uint8Array): boolean {
    const { gains, dimension, size } = this;
    const at = row * dimension;
    for (let other = 0; other < size; other++) {
      if (!live[other] || other === row) continue;
      let k = 0;
      while (k < dimension && gains[other * dimension + k]! >= gains[at + k]!) k++;
      if (k === dimension) return true;
    }
    return false;
  }

  private swept2(row: number, live: Uint8Array): number {
    const { gains, order } = this;
    const x = gains[2 * row]!;
    const y = gains[2 * row + 1]!;
    let reach = 0;
    let area = 0;
    for (const other of order) {
      if (!live[other] || other === row) continue;
      const across = Math.min(x, gains[2 * other]!);
      if (across <= reach) continue;
      area += (across - reach) * Math.min(y, gains[2 * other + 1]!);
      reach = across;
    }
    return area;
  }

  private swept3(row: number, live: Uint8Array): number {
    const { gains, order, stairs } = this;
    const x = gains[3 * row]!;
    const y = gains[3 * row + 1]!;
    let level = gains[3 * row + 2]!;
    let volume = 0;
    stairs.clear();
    for (const other of order) {
      if (!live[other] || other === row) continue;
      const across = gains[3 * other]!;
      const up = gains[3 * other + 1]!;
      const depth = gains[3 * other + 2]!;
      if (depth < level) {
        volume += stairs.area * (level - depth);
        level = depth;
      }
      // Nothing below is left to others.
      if (across >= x && up >= y) return volume + x * y * level;
      stairs.add(across < x ? across : x, up < y ? up : y);
    }
    return volume + stairs.area * level;
  }

  private anyDimension(row: number, live: Uint8Array): number {
    const { gains, dimension, size, limited } = this;
    let kept = 0;
    for (let other = 0; other < size; other++) {
      if (!live[other] || other === row) continue;
      for (let k = 0; k < dimension; k++) {
        const most = gains[row * dimension + k]!;
        const gain = gains[other * dimension + k]!;
        limited[kept * dimension + k] = gain < most ? gain : most;
      }
      kept++;
    }
    return volumeOf(limited, kept, dimension);
  }
}
