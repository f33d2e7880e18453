// Drop-out on WebGPU: numbers of a counter-based generator, so that nothing is drawn on the host, and the gradient draws them again.
import * as tf from '@tensorflow/tfjs';
import { groupsFor, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const SIZE = 128;
/** Between the seeds of two steps. */
export const SEED_STEP = 8191;

// Two rounds of PCG's output permutation (O'Neill 2014) over the place, the seed between them; 24 bits of it as a number in [0, 1).
const kernel = (based: boolean): Kernel => ({
  name: based ? 'drop-out-based' : 'drop-out',
  inputs: based ? ['x', 'base'] : ['x'],
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
      let seed = bitcast<u32>(uniforms.seed)${based ? ` + bitcast<u32>(base[0]) * ${SEED_STEP}u` : ''};
      let drawn = permute(permute(u32(index)) ^ seed);
      let uniform01 = f32(drawn >> 8u) * 5.9604644775390625e-8;
      result[index] = select(0.0, x[index] * uniforms.scale, uniform01 >= uniforms.rate);
    }`,
});

const DROP = kernel(false);
const DROP_BASED = kernel(true);

let base: tf.Tensor1D | undefined;

/**
 * Runs synchronous work whose seeds are counted from {@link SEED_STEP} times a number on the GPU: what differs from step to step is in a
 * tensor then, and no dispatch has uniforms of its own.
 *
 * @param from int32 [1]
 */
export function withSeedBase<T>(from: tf.Tensor1D | undefined, run: () => T): T {
  const before = base;
  base = from;
  try {
    return run();
  } finally {
    base = before;
  }
}

/** Zeroes each number of x with probability `rate` and divides the others by 1 − rate; the same seed draws the same places. No gradient. */
export function dropOnGpu<T extends tf.Tensor>(x: T, rate: number, seed: number): T {
  const uniforms = [x.size, seed | 0, rate, 1 / (1 - rate)];
  const inputs = base ? [x, base] : [x];
  const groups = groupsFor(x.size, SIZE);
  return runKernel(base ? DROP_BASED : DROP, x.shape as never, { inputs, uniforms, groups }) as T;
}
