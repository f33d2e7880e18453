// Functions of elements: gates, the soft-cap, sums and products.
import * as J from '../job';
import { activate, tanh4 } from './activations';
import * as M from './job';

// Operations from here on are not activations.
const SOFTCAP: i32 = 16;
const ADD_SCALED: i32 = 17;
const SCALE: i32 = 18;

// @ts-ignore: decorator
@inline
function apply(operation: i32, x: v128, second: v128, out: v128, has: bool, factor: v128): v128 {
  if (operation == SOFTCAP) return f32x4.mul(tanh4(f32x4.div(x, factor)), factor);
  if (operation == ADD_SCALED) return f32x4.add(out, f32x4.mul(x, factor));
  if (operation == SCALE) return f32x4.mul(x, factor);
  const y = activate(operation, x);
  return has ? f32x4.mul(y, second) : y;
}

/** OUT = OPERATION of X, SECOND, OUT and FACTOR, over WIDTH numbers. Work item: RUN of them. */
export function elements(job: usize, thread: i32): void {
  const operation = J.i(job, M.OPERATION), length = J.i(job, M.WIDTH), run = J.i(job, M.RUN);
  const x = J.p(job, M.X), second = J.p(job, M.SECOND), out = J.p(job, M.OUT), factor = f32x4.splat(J.f(job, M.FACTOR));
  const has = second != 0;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    let at = <usize>(item * run) << 2;
    const last = <usize>min(length, (item + 1) * run) << 2;
    for (; at + 16 <= last; at += 16) v128.store(out + at, apply(operation, v128.load(x + at), has ? v128.load(second + at) : factor, v128.load(out + at), has, factor));
    // What is left is one to three numbers: taken into a lane each.
    for (; at < last; at += 4) {
      const y = apply(operation, v128.load32_splat(x + at), has ? v128.load32_splat(second + at) : factor, v128.load32_splat(out + at), has, factor);
      v128.store32_lane(out + at, y, 0);
    }
  }
}
