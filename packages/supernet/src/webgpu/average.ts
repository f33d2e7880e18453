// The moving average of weights on WebGPU: in place, a few weights a dispatch.
import type * as tf from '@tensorflow/tfjs';
import { runMany } from './pipelines.ts';
import type { ManyKernel } from './pipelines.ts';

const SIZE = 256;
/** Weights of one dispatch: an average and a weight each, and the share, of the eight storage buffers that WebGPU guarantees. */
export const WEIGHTS_AVERAGED_TOGETHER = 3;

const kernels = new Map<number, ManyKernel>();

function kernelOf(count: number): ManyKernel {
  const all = Array.from({ length: count }, (_, i) => i);
  const lane = (i: number) => {
    const from = i === 0 ? '0' : `uniforms.end${i - 1}`;
    return `if (i < uniforms.end${i}) {
        let k = i - ${from};
        average${i}[k] = keep[0] * average${i}[k] + (1.0 - keep[0]) * weight${i}[k];
        return;
      }`;
  };
  return {
    name: `moving-average-${count}`,
    writes: all.map((i) => `average${i}`),
    reads: [...all.map((i) => `weight${i}`), 'keep'],
    uniforms: Object.fromEntries(all.map((i) => [`end${i}`, 'i'])) as Record<string, 'i' | 'f'>,
    workgroupSize: SIZE,
    code: `
      fn run(index : u32) {
        let i = i32(index);
        ${all.map(lane).join('\n        ')}
      }`,
  };
}

/** average ← keep·average + (1 − keep)·weight of up to {@link WEIGHTS_AVERAGED_TOGETHER} pairs that share no memory. `keep` [1] is a tensor: a uniform that differs from step to step would be a buffer of its own each time. */
export function averageInPlace(
  pairs: readonly { readonly average: tf.Tensor; readonly weight: tf.Tensor }[],
  keep: tf.Tensor1D,
): void {
  const kernel = kernels.get(pairs.length) ?? kernelOf(pairs.length);
  kernels.set(pairs.length, kernel);
  let end = 0;
  const ends = pairs.map(({ weight }) => (end += weight.size));
  const writes = pairs.map(({ average }) => average);
  runMany(kernel, { writes, reads: [...pairs.map(({ weight }) => weight), keep] }, ends, end);
}
