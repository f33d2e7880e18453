// What boxes of three gains add to their union, one after the other: `LocalBounds` for three axes, written out.

/** Bits of an axis in a packed key, the highest of them for the borrow. */
const BITS = 10;
const LEVELS = 2 ** (BITS - 1) - 1;
const FIELD = 2 ** BITS - 1;
const BORROWS = (1 << (BITS - 1)) | (1 << (2 * BITS - 1)) | (1 << (3 * BITS - 1));

/** The union of boxes from the origin to points (x, y, z), held as in `LocalBounds`. Its bounds are at most two a point, and one. */
export class LocalBounds3 {
  private readonly most: Float64Array;
  /** x, y, z of points, those that define the origin's bound first. */
  private readonly points: Float64Array;
  private used = 9;
  /** Offsets in `points` of the three that define each bound. */
  private readonly definers: Int32Array;
  private readonly keys: Int32Array;
  private size = 1;

  /** @param most the largest gains that any point will have, three @param count most points */
  constructor(most: Float64Array, count: number) {
    this.most = most;
    this.points = new Float64Array(3 * (count + 3));
    this.points.fill(Infinity, 0, 9);
    // Room beside the bounds for the three that are written before it is known which of them count.
    this.definers = new Int32Array(3 * (2 * count + 4));
    this.keys = new Int32Array(2 * count + 4);
    for (let axis = 0; axis < 3; axis++) {
      this.points[4 * axis] = 0;
      this.definers[axis] = 3 * axis;
    }
  }

  /** Adds the box from the origin to (x, y, z). @returns the volume that it adds */
  add(x: number, y: number, z: number): number {
    const { points, definers, keys, used } = this;
    const mostX = this.most[0]!;
    const mostY = this.most[1]!;
    const mostZ = this.most[2]!;
    points[used] = x;
    points[used + 1] = y;
    points[used + 2] = z;
    this.used = used + 3;
    const isLowX = +(x < mostX);
    const isLowY = +(y < mostY);
    const isLowZ = +(z < mostZ);
    const keyX = ((x / mostX) * LEVELS) | 0;
    const keyY = ((y / mostY) * LEVELS) << BITS;
    const keyZ = ((z / mostZ) * LEVELS) << (2 * BITS);
    const probe = keyX | keyY | keyZ | BORROWS;
    let { size } = this;
    let end = size;
    let volume = 0;
    for (let bound = 0; ; bound++) {
      while (bound < end && ((probe - keys[bound]!) & BORROWS) !== BORROWS) bound++;
      if (bound >= end) break;
      const key = keys[bound]!;
      const at = 3 * bound;
      // Points a, b, c define x, y, z of the bound.
      const a = definers[at]!;
      const b = definers[at + 1]!;
      const c = definers[at + 2]!;
      const left = points[a]!;
      const bottom = points[b + 1]!;
      const front = points[c + 2]!;
      if (left >= x || bottom >= y || front >= z) continue;
      const ay = points[a + 1]!;
      const az = points[a + 2]!;
      const bx = points[b]!;
      const bz = points[b + 2]!;
      const cx = points[c]!;
      const cy = points[c + 1]!;
      // Without branches, which nothing foretells: the offset of the point that is least on an axis, and children written before it is known whether they count.
      let reach = used + ((b - used) & -+(bx < x));
      reach += (c - reach) & -+(cx < points[reach]!);
      const up = used + ((c - used) & -+(cy < y));
      volume += (points[reach]! - left) * (points[up + 1]! - bottom) * (z - front);
      let to = 3 * size;
      definers[to] = used;
      definers[to + 1] = b;
      definers[to + 2] = c;
      keys[size] = (key & ~FIELD) | keyX;
      size = (size + (+(x <= bx) & +(x <= cx) & isLowX)) | 0;
      to = 3 * size;
      definers[to] = a;
      definers[to + 1] = used;
      definers[to + 2] = c;
      keys[size] = (key & ~(FIELD << BITS)) | keyY;
      size = (size + (+(y <= cy) & +(y <= ay) & isLowY)) | 0;
      to = 3 * size;
      definers[to] = a;
      definers[to + 1] = b;
      definers[to + 2] = used;
      keys[size] = (key & ~(FIELD << (2 * BITS))) | keyZ;
      size = (size + (+(z <= az) & +(z <= bz) & isLowZ) - 1) | 0;
      // The last takes the place of the one that is gone.
      to = 3 * size;
      definers[at] = definers[to]!;
      definers[at + 1] = definers[to + 1]!;
      definers[at + 2] = definers[to + 2]!;
      keys[bound] = keys[size]!;
      if (size < end) {
        end = size;
        bound--;
      }
    }
    this.size = size;
    return volume;
  }
}
