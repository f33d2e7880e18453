// Means and deviations: per chunk its mean key and the population variance of each channel, as rows [Hkv of B][chunks][mean d,
// variance d]. Numbers that are not finite count as 0: a key that holds them is judged where keys are scored one by one.
import { decodeHalves } from '../numbers/half';
import * as J from '../job';
import { largest, INFINITE, sizeMask } from '../numbers/non-finite';
import { keyAddress } from './pages';

/**
 * Writes a chunk's moments. Differences from the chunk's first key are averaged (divided before they are added, which keeps them finite), then
 * those from the mean squared: equal keys have no variance at all.
 *
 * @param chunk keys that the variance is divided by, those that are not there included
 */
export function moments(job: usize, to: usize, b: i32, h: i32, start: i32, end: i32, chunk: i32, bytes: usize, line: usize): void {
  const width = <usize>J.i(job, J.PADDED_DIM) << 2;
  const first = line + width, part = f32x4.splat(1 / <f32>(end - start)), spreadPart = f32x4.splat(1 / <f32>chunk), top = largest();
  const at = keyAt(job, b, h, start, bytes, line);
  for (let c: usize = 0; c < width; c += 16) v128.store(first + c, finite(v128.load(at + c)));
  memory.fill(to, 0, 2 * width);
  for (let key = start; key < end; key++) {
    const from = keyAt(job, b, h, key, bytes, line);
    for (let c: usize = 0; c < width; c += 16) v128.store(to + c, f32x4.add(v128.load(to + c), f32x4.sub(f32x4.mul(finite(v128.load(from + c)), part), f32x4.mul(v128.load(first + c), part))));
  }
  for (let c: usize = 0; c < width; c += 16) v128.store(to + c, f32x4.add(v128.load(to + c), v128.load(first + c)));
  for (let key = start; key < end; key++) {
    const from = keyAt(job, b, h, key, bytes, line);
    for (let c: usize = 0; c < width; c += 16) {
      const off = f32x4.sub(finite(v128.load(from + c)), v128.load(to + c));
      v128.store(to + width + c, f32x4.add(v128.load(to + width + c), f32x4.mul(f32x4.mul(off, off), spreadPart)));
    }
  }
  for (let c: usize = 0; c < width; c += 16) v128.store(to + width + c, f32x4.pmin(v128.load(to + width + c), top));
}

/** Address of a key in float32: where it lies, or the line it is unpacked to. */
// @ts-ignore: decorator
@inline
function keyAt(job: usize, b: i32, h: i32, key: i32, bytes: usize, line: usize): usize {
  const at = keyAddress(job, b, h, key, bytes);
  if (!J.i(job, J.HALF)) return at;
  decodeHalves(at, line, J.i(job, J.PADDED_DIM), J.i(job, J.SPECIAL) != 0);
  return line;
}

// @ts-ignore: decorator
@inline
function finite(x: v128): v128 {
  return v128.and(x, i32x4.lt_s(v128.and(x, sizeMask()), i32x4.splat(INFINITE)));
}
