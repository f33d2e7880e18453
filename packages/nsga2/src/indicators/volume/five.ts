// Hypervolume of five objectives: what each point adds in the first four, integrated over the fifth.
import { Volume4 } from './four.ts';
import { descending } from './order.ts';
import { SortedRows } from './sorted-rows.ts';
import { Staircase } from './staircase.ts';

/**
 * Points by descending fifth gain, each adding what it dominates alone in the first four: its box minus the volume of the earlier points limited
 * to the box (the scheme of `Volume4`, a dimension higher). Limiting changes no order, so the earlier points are kept in two: by the third gain
 * those that are at least as deep as the box in the fourth make one sweep of a staircase; by the fourth the others come one after the other.
 */
export class Volume5 {
  /** Points so far that none covers in the first four gains. */
  private readonly byThird: SortedRows;
  private readonly byFourth: SortedRows;
  private readonly limited: Volume4;
  private readonly stairs: Staircase;

  /** @param capacity most points */
  constructor(capacity: number) {
    this.byThird = new SortedRows(capacity, 2);
    this.byFourth = new SortedRows(capacity, 3);
    this.limited = new Volume4(capacity);
    this.stairs = new Staircase(capacity + 1);
  }

  /** @param gains [count, 5] */
  volume(gains: Float64Array, count: number): number {
    this.byThird.size = 0;
    this.byFourth.size = 0;
    let volume = 0;
    for (const row of descending(gains, count, 5, 4)) {
      const at = 5 * row;
      const alone = this.add(gains[at]!, gains[at + 1]!, gains[at + 2]!, gains[at + 3]!);
      volume += alone * gains[at + 4]!;
    }
    return volume;
  }

  /** Adds a point. @returns what it adds to the volume in the first four gains */
  private add(x: number, y: number, z: number, w: number): number {
    const deep = this.deepVolume(x, y, z, w);
    if (deep < 0) return 0;
    const alone = x * y * z * w - deep * w - this.shallowVolume(x, y, z, w);
    this.byThird.insert(x, y, z, w);
    this.byFourth.insert(x, y, z, w);
    return Math.max(0, alone);
  }

  /** Volume in the first three gains of the points that are at least as deep as the box, limited to it; −1 where one covers it. */
  private deepVolume(x: number, y: number, z: number, w: number): number {
    const { limited, stairs } = this;
    const { values, size } = this.byThird;
    limited.clear();
    stairs.clear();
    let level = z;
    let volume = 0;
    for (let at = 0; at < 4 * size; at += 4) {
      if (values[at + 3]! < w) continue;
      const across = values[at]! < x ? values[at]! : x;
      const up = values[at + 1]! < y ? values[at + 1]! : y;
      const depth = values[at + 2]! < z ? values[at + 2]! : z;
      const before = stairs.area;
      stairs.add(across, up);
      if (stairs.area === before) continue;
      volume += before * (level - depth);
      level = depth;
      if (across === x && up === y && depth === z) return -1;
      limited.append(across, up, depth);
      // Nothing below is left to others.
      if (across === x && up === y) break;
    }
    return volume + stairs.area * level;
  }

  /** What the points that are less deep than the box add to those that are deeper, limited to it. */
  private shallowVolume(x: number, y: number, z: number, w: number): number {
    const { limited } = this;
    const { values, size } = this.byFourth;
    let volume = 0;
    for (let at = 4 * this.byFourth.firstBelow(w); at < 4 * size; at += 4) {
      const across = values[at]! < x ? values[at]! : x;
      const up = values[at + 1]! < y ? values[at + 1]! : y;
      const depth = values[at + 2]! < z ? values[at + 2]! : z;
      volume += limited.add(across, up, depth) * values[at + 3]!;
      if (across === x && up === y && depth === z) break;
    }
    return volume;
  }
}
