// Rotary position embedding, in place.
import * as J from '../job';
import * as M from './job';

/**
 * Turns the first WIDTH numbers of every head by the angles whose cosines (SECOND) and sines (THIRD) are given [ROWS, WIDTH / 2].
 * Number i goes with i + WIDTH / 2; FLAG: 2i with 2i + 1. Work item: RUN rows.
 */
export function rotate(job: usize, thread: i32): void {
  const rows = J.i(job, M.ROWS), heads = J.i(job, M.HEADS), half = <usize>J.i(job, M.WIDTH) >> 1, run = J.i(job, M.RUN);
  const headBytes = <usize>J.i(job, M.HEAD_DIM) << 2;
  const neighbours = J.i(job, M.FLAG) != 0;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const last = min(rows, (item + 1) * run);
    for (let row = item * run; row < last; row++) {
      const angles = (<usize>row * half) << 2;
      let head = J.p(job, M.X) + <usize>(row * heads) * headBytes;
      for (let h = 0; h < heads; h++) {
        if (neighbours) turnNeighbours(head, J.p(job, M.SECOND) + angles, J.p(job, M.THIRD) + angles, half);
        else turnHalves(head, J.p(job, M.SECOND) + angles, J.p(job, M.THIRD) + angles, half);
        head += headBytes;
      }
    }
  }
}

function turnHalves(head: usize, cos: usize, sin: usize, half: usize): void {
  const whole = (half & ~3) << 2, end = half << 2;
  for (let c: usize = 0; c < whole; c += 16) {
    const a = v128.load(head + c), b = v128.load(head + end + c), x = v128.load(cos + c), y = v128.load(sin + c);
    v128.store(head + c, f32x4.sub(f32x4.mul(a, x), f32x4.mul(b, y)));
    v128.store(head + end + c, f32x4.add(f32x4.mul(b, x), f32x4.mul(a, y)));
  }
  for (let c = whole; c < end; c += 4) turn(head + c, head + end + c, load<f32>(cos + c), load<f32>(sin + c));
}

function turnNeighbours(head: usize, cos: usize, sin: usize, half: usize): void {
  for (let c: usize = 0; c < half << 2; c += 4) turn(head + 2 * c, head + 2 * c + 4, load<f32>(cos + c), load<f32>(sin + c));
}

// @ts-ignore: decorator
@inline
function turn(first: usize, second: usize, cos: f32, sin: f32): void {
  const a = load<f32>(first), b = load<f32>(second);
  store<f32>(first, a * cos - b * sin);
  store<f32>(second, b * cos + a * sin);
}
