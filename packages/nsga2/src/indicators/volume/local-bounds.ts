// What boxes add to their union, one after the other: the space that is left is cut into one box a local bound.
import { descending } from './order.ts';

/**
 * The union of boxes from the origin to points, held as its local bounds: the lowest corners that no point is beyond on every
 * axis (Klamroth, Lacour and Vanderpooten 2015, who minimise). Each coordinate of a bound is that of one defining point; from the bound to the
 * least coordinates of the defining points of later axes reaches a box of its own, and these boxes fill the space that is left (Lacour, Klamroth
 * and Fonseca 2017). A new point adds its part of the boxes of the bounds below it: a sum of positive volumes. Each of those bounds
 * gives way to one an axis, moved up to the point, where the point is below the other defining points on that axis; of equal coordinates, the later point's
 * counts as the lesser.
 */
export class LocalBounds {
  private readonly axes: number;
  /** Coordinates of points [·, axes], those that define the origin's bound first: infinite but for one 0. */
  private readonly points: Float64Array;
  private used = 0;
  /** Offsets in `points` of the points that define each bound [·, axes]. */
  private definers: Int32Array;
  /** Each bound in steps, `bits` an axis: one subtraction tells most of those that are not below a point. */
  private keys: Int32Array;
  private size = 0;
  private readonly bits: number;
  /** The highest bit of each axis, which shows a borrow. */
  private readonly borrows: number;
  /** Largest coordinates of the points to come. */
  private readonly most: Float64Array;

  /** @param axes coordinates that boxes have: at most 16 @param count most points */
  constructor(axes: number, count: number) {
    this.axes = axes;
    this.points = new Float64Array((axes + count) * axes);
    this.points.fill(Infinity, 0, axes * axes);
    this.definers = new Int32Array(4 * (count + 1) * axes);
    this.keys = new Int32Array(4 * (count + 1));
    this.bits = Math.trunc(32 / axes);
    this.most = new Float64Array(axes);
    let borrows = 0;
    for (let axis = 0; axis < axes; axis++) {
      this.points[axis * axes + axis] = 0;
      borrows |= 1 << (this.bits * (axis + 1) - 1);
    }
    this.borrows = borrows;
  }

  /** Hypervolume of one objective more than there are axes: what each point adds, by descending last gain. @param gains [count, axes + 1] */
  volume(gains: Float64Array, count: number): number {
    const { axes, most } = this;
    const dimension = axes + 1;
    this.used = axes * axes;
    this.size = 1;
    this.keys[0] = 0;
    for (let axis = 0; axis < axes; axis++) {
      this.definers[axis] = axis * axes;
      most[axis] = 0;
      for (let at = axis; at < count * dimension; at += dimension)
        if (gains[at]! > most[axis]!) most[axis] = gains[at]!;
    }
    let volume = 0;
    for (const row of descending(gains, count, dimension, axes)) {
      volume += this.add(gains, row * dimension) * gains[row * dimension + axes]!;
    }
    return volume;
  }

  /** Adds the box from the origin to the gains at an offset. @returns the volume that it adds */
  private add(gains: Float64Array, offset: number): number {
    const { axes, points, borrows, bits, most, used } = this;
    const levels = 2 ** (bits - 1) - 1;
    let packed = 0;
    let low = 0;
    for (let axis = 0; axis < axes; axis++) {
      const gain = gains[offset + axis]!;
      points[used + axis] = gain;
      packed |= ((gain / most[axis]!) * levels) << (axis * bits);
      low |= +(gain < most[axis]!) << axis;
    }
    this.used = used + axes;
    const probe = packed | borrows;
    let { definers, keys, size } = this;
    let end = size;
    let volume = 0;
    for (let bound = 0; ; bound++) {
      while (bound < end && ((probe - keys[bound]!) & borrows) !== borrows) bound++;
      if (bound >= end) break;
      const key = keys[bound]!;
      const at = bound * axes;
      let isBelow = 1;
      let children = 0;
      let box = 1;
      // Without branches, which nothing foretells: `reach` is the offset of the point that is least on the axis.
      for (let axis = 0; axis < axes; axis++) {
        const gain = points[used + axis]!;
        const corner = points[definers[at + axis]! + axis]!;
        isBelow &= +(corner < gain);
        let reach = used;
        let isShort = 0;
        for (let k = axis + 1; k < axes; k++) {
          const other = definers[at + k]!;
          const isLess = +(points[other + axis]! < points[reach + axis]!);
          isShort |= isLess;
          reach += (other - reach) & -isLess;
        }
        for (let k = 0; k < axis; k++) isShort |= +(points[definers[at + k]! + axis]! < gain);
        children |= (1 - isShort) << axis;
        box *= points[reach + axis]! - corner;
      }
      if (isBelow === 0) continue;
      volume += box;
      if (size + axes > keys.length) {
        this.grow();
        ({ definers, keys } = this);
      }
      // Nothing to come is above the largest.
      for (children &= low; children !== 0; children &= children - 1) {
        const axis = 31 - Math.clz32(children & -children);
        const to = size * axes;
        for (let k = 0; k < axes; k++) definers[to + k] = definers[at + k]!;
        definers[to + axis] = used;
        const field = ((1 << bits) - 1) << (axis * bits);
        keys[size++] = (key & ~field) | (packed & field);
      }
      size--;
      keys[bound] = keys[size]!;
      for (let k = 0; k < axes; k++) definers[at + k] = definers[size * axes + k]!;
      if (size < end) {
        end = size;
        bound--;
      }
    }
    this.size = size;
    return volume;
  }

  private grow(): void {
    const definers = new Int32Array(2 * this.definers.length);
    definers.set(this.definers);
    this.definers = definers;
    const keys = new Int32Array(2 * this.keys.length);
    keys.set(this.keys);
    this.keys = keys;
  }
}
