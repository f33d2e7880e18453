// Drop-out on WebGPU: numbers of a counter-based generator, so that nothing is drawn on the host, and the gradient draws them again.
import type * as tf from '@tensorflow/tfjs';
import { groupsFor, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const SIZE = 128;

// Two rounds of PCG's output permutation (O'Neill 2014) over the place, the seed between them; 24 bits of it as a number in [0, 1).
const DROP: Kernel = {
  name: 'drop-out',
  inputs: ['x'],
  uniforms: { count: 'i', seed: 'i', rate: 'f', scale: 'f' },
  workgroupSize: SIZE,
  code: `
    fn permute(v : u32) -> u32 {
      let state = v * 747796405u + 2891336453u;
      let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
      return (word >> 22u) ^ word;
    }
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      let drawn = permute(permute(u32(index)) ^ bitcast<u32>(uniforms.seed));
      let uniform01 = f32(drawn >> 8u) * 5.9604644775390625e-8;
      result[index] = select(0.0, x[index] * uniforms.scale, uniform01 >= uniforms.rate);
    }`,
};

/** Zeroes each number of x with probability `rate` and divides the others by 1 − rate; the same seed draws the same places. No gradient. */
export function dropOnGpu<T extends tf.Tensor>(x: T, rate: number, seed: number): T {
  const uniforms = [x.size, seed | 0, rate, 1 / (1 - rate)];
  return runKernel(DROP, x.shape as never, { inputs: [x], uniforms, groups: groupsFor(x.size, SIZE) }) as T;
}
