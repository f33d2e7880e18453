// Hypervolume of four objectives: what each point adds in the first three, integrated over the fourth.
import { descending } from './order.ts';
import { SortedPoints } from './sorted-points.ts';
import { Staircase } from './staircase.ts';

/**
 * Points by descending fourth gain, each adding what it dominates alone in the first three (the scheme of Guerreiro, Fonseca and
 * Emmerich 2012): its box minus the volume of the earlier points limited to the box. The earlier ones that are at least as deep as
 * the box make one staircase, found in a pass by descending first gain; the others climb on it by descending third gain, which
 * limiting does not change, until it fills the box. O(N²) comparisons, O(N² log N) at worst.
 */
export class Volume4 {
  /** Points so far that are maximal in the first three gains. */
  private readonly byFirst: SortedPoints;
  private readonly byThird: SortedPoints;
  private readonly stairs: Staircase;

  /** @param capacity most points */
  constructor(capacity: number) {
    this.byFirst = new SortedPoints(capacity, 0);
    this.byThird = new SortedPoints(capacity, 2);
    this.stairs = new Staircase(capacity + 1);
  }

  /** @param gains [count, 4] */
  volume(gains: Float64Array, count: number): number {
    this.clear();
    let volume = 0;
    for (const row of descending(gains, count, 4, 3)) {
      const at = 4 * row;
      volume += this.add(gains[at]!, gains[at + 1]!, gains[at + 2]!) * gains[at + 3]!;
    }
    return volume;
  }

  clear(): void {
    this.byFirst.size = 0;
    this.byThird.size = 0;
  }

  /** Adds a point. @returns what it adds to the volume in the first three gains */
  add(x: number, y: number, z: number): number {
    if (!this.climbDeep(x, y, z)) return 0;
    const alone = x * y * z - this.climbShallow(x, y, z);
    this.byFirst.insert(x, y, z);
    this.byThird.insert(x, y, z);
    return alone;
  }

  /** Adds a point whose third gain is no more than that of any before, when nobody asks what it adds. */
  append(x: number, y: number, z: number): void {
    this.byFirst.insert(x, y, z);
    this.byThird.append(x, y, z);
  }

  /** The staircase of the points that are at least as deep as the box. @returns false where one of them covers the box */
  private climbDeep(x: number, y: number, z: number): boolean {
    const { byFirst, stairs } = this;
    const { values } = byFirst;
    stairs.clear();
    const end = 3 * byFirst.size;
    let height = 0;
    for (let at = 0; at < end; at += 3) {
      if (values[at + 1]! <= height || values[at + 2]! < z) continue;
      const across = values[at]!;
      height = values[at + 1]!;
      if (height >= y) {
        if (across >= x) return false;
        stairs.append(across, y);
        break;
      }
      stairs.append(across < x ? across : x, height);
    }
    return true;
  }

  /** The volume of all points limited to the box, when those at least as deep are on the staircase. */
  private climbShallow(x: number, y: number, z: number): number {
    const { byThird, stairs } = this;
    const { values } = byThird;
    const end = 3 * byThird.size;
    let top = stairs.reach(y);
    let right = stairs.height(x);
    let level = z;
    let volume = 0;
    for (let at = 3 * byThird.firstUpTo(z); at < end; at += 3) {
      const across = values[at]!;
      const up = values[at + 1]!;
      if (across <= top || up <= right) continue;
      const depth = values[at + 2]!;
      volume += stairs.area * (level - depth);
      level = depth;
      if (across >= x && up >= y) return volume + x * y * level;
      if (across >= x) right = up;
      else if (up >= y) top = across;
      stairs.add(across < x ? across : x, up < y ? up : y);
    }
    return volume + stairs.area * level;
  }
}
