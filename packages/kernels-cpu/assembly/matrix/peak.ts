// The machine's peak: multiply-adds on registers only.
import * as J from '../job';
import { fma } from '../numbers/simd';

const INPUT: usize = memory.data<f32>([0.999, 0.999, 0.999, 0.999, 1e-3, 1e-3, 1e-3, 1e-3], 16);

/** ROUNDS × 12 vectors × 4 lanes of multiply-adds. Work item: one such run. */
export function peak(job: usize, thread: i32): void {
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) store<f32>(J.scratch(job, thread), run(J.i(job, J.ROUNDS)));
}

function run(rounds: i32): f32 {
  const a = v128.load(INPUT), b = v128.load(INPUT, 16);
  let c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, c9 = a, c10 = a, c11 = a;
  for (let i = 0; i < rounds; i++) {
    c0 = fma(c0, a, b); c1 = fma(c1, a, b); c2 = fma(c2, a, b); c3 = fma(c3, a, b); c4 = fma(c4, a, b); c5 = fma(c5, a, b);
    c6 = fma(c6, a, b); c7 = fma(c7, a, b); c8 = fma(c8, a, b); c9 = fma(c9, a, b); c10 = fma(c10, a, b); c11 = fma(c11, a, b);
  }
  const left = f32x4.add(f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3)), f32x4.add(c4, c5));
  const right = f32x4.add(f32x4.add(f32x4.add(c6, c7), f32x4.add(c8, c9)), f32x4.add(c10, c11));
  return f32x4.extract_lane(f32x4.add(left, right), 0);
}
