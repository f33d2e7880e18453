// Norms of rows: divided by their root mean square, or made to have mean 0 and variance 1.
import * as J from '../job';
import { fma } from '../numbers/simd';
import * as M from './job';

// @ts-ignore: decorator
@inline
export function sumOf(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}

/** Rows of WIDTH; OPERATION 1: their mean is taken off first. SECOND: weight, FLAG: 1 more than stored; THIRD: bias. Work item: RUN rows. */
export function norm(job: usize, thread: i32): void {
  const rows = J.i(job, M.ROWS), width = J.i(job, M.WIDTH), run = J.i(job, M.RUN);
  const centred = J.i(job, M.OPERATION) == 1;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const last = min(rows, (item + 1) * run);
    for (let row = item * run; row < last; row++) {
      const at = (<usize>row * <usize>width) << 2;
      const from = J.p(job, M.X) + at;
      const mean: f32 = centred ? total(from, width) / <f32>width : 0;
      const scale: f32 = <f32>1 / Mathf.sqrt(squares(from, width, mean) / <f32>width + J.f(job, M.EPSILON));
      write(job, from, J.p(job, M.OUT) + at, width, mean, scale);
    }
  }
}

function total(from: usize, width: i32): f32 {
  let sum = f32x4.splat(0);
  const whole = from + (<usize>(width & ~3) << 2), end = from + (<usize>width << 2);
  for (; from < whole; from += 16) sum = f32x4.add(sum, v128.load(from));
  let rest = sumOf(sum);
  for (; from < end; from += 4) rest += load<f32>(from);
  return rest;
}

/** Sum of squared distances from `mean`. */
function squares(from: usize, width: i32, mean: f32): f32 {
  let sum = f32x4.splat(0);
  const centre = f32x4.splat(mean);
  const whole = from + (<usize>(width & ~3) << 2), end = from + (<usize>width << 2);
  for (; from < whole; from += 16) {
    const x = f32x4.sub(v128.load(from), centre);
    sum = fma(x, x, sum);
  }
  let rest = sumOf(sum);
  for (; from < end; from += 4) {
    const x = load<f32>(from) - mean;
    rest += x * x;
  }
  return rest;
}

function write(job: usize, from: usize, to: usize, width: i32, mean: f32, scale: f32): void {
  const weight = J.p(job, M.SECOND), bias = J.p(job, M.THIRD);
  const offset: f32 = J.i(job, M.FLAG) != 0 ? 1 : 0;
  const centre = f32x4.splat(mean), factor = f32x4.splat(scale), more = f32x4.splat(offset);
  const whole = <usize>(width & ~3) << 2, end = <usize>width << 2;
  for (let c: usize = 0; c < whole; c += 16) {
    let x = f32x4.mul(f32x4.sub(v128.load(from + c), centre), factor);
    if (weight != 0) x = f32x4.mul(x, f32x4.add(v128.load(weight + c), more));
    if (bias != 0) x = f32x4.add(x, v128.load(bias + c));
    v128.store(to + c, x);
  }
  for (let c = whole; c < end; c += 4) {
    let x = (load<f32>(from + c) - mean) * scale;
    if (weight != 0) x *= load<f32>(weight + c) + offset;
    if (bias != 0) x += load<f32>(bias + c);
    store<f32>(to + c, x);
  }
}
