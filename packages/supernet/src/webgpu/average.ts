// The moving average of weights on WebGPU: in place, a few weights a dispatch.
import type * as tf from '@tensorflow/tfjs';
import { runMany } from './program.ts';
import type { ManyKernel } from './program.ts';

const SIZE = 256;
/** Weights of one dispatch: an average and a weight each, of the eight storage buffers that WebGPU guarantees. */
export const WEIGHTS_AVERAGED_TOGETHER = 4;

const kernels = new Map<number, ManyKernel>();

function kernelOf(count: number): ManyKernel {
  const all = Array.from({ length: count }, (_, i) => i);
  const lane = (i: number) => {
    const from = i === 0 ? '0' : `uniforms.end${i - 1}`;
    return `if (i < uniforms.end${i}) {
        let k = i - ${from};
        average${i}[k] = uniforms.keep * average${i}[k] + (1.0 - uniforms.keep) * weight${i}[k];
        return;
      }`;
  };
  return {
    name: `moving-average-${count}`,
    writes: all.map((i) => `average${i}`),
    reads: all.map((i) => `weight${i}`),
    uniforms: Object.fromEntries([['keep', 'f'], ...all.map((i) => [`end${i}`, 'i'])]) as Record<string, 'i' | 'f'>,
    workgroupSize: SIZE,
    code: `
      fn run(index : u32) {
        let i = i32(index);
        ${all.map(lane).join('\n        ')}
      }`,
  };
}

/** average ← keep·average + (1 − keep)·weight of up to {@link WEIGHTS_AVERAGED_TOGETHER} pairs that share no memory. */
export function averageInPlace(
  pairs: readonly { readonly average: tf.Tensor; readonly weight: tf.Tensor }[],
  keep: number,
): void {
  const kernel = kernels.get(pairs.length) ?? kernelOf(pairs.length);
  kernels.set(pairs.length, kernel);
  let end = 0;
  const ends = pairs.map(({ weight }) => (end += weight.size));
  const writes = pairs.map(({ average }) => average);
  runMany(kernel, { writes, reads: pairs.map(({ weight }) => weight) }, [keep, ...ends], end);
}
