// The optimiser on WebGPU: gradient norm, clipping and AdamW in place, two dispatches a weight and one for its norm.
import * as tf from '@tensorflow/tfjs';
import { groupsFor, reduction, runInPlace, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const SIZE = 256;
/** Workgroups that share one weight's sum of squares. */
const NORM_GROUPS = 64;

const SQUARES: Kernel = {
  name: 'sum-squares',
  inputs: ['x'],
  uniforms: { count: 'i', groups: 'i', offset: 'i' },
  workgroupSize: SIZE,
  code: `${reduction(SIZE)}
    fn main(index : i32) {
      let tid = i32(localId.x);
      let group = index / ${SIZE};
      var sum = 0.0;
      for (var i = index; i < uniforms.count; i += uniforms.groups * ${SIZE}) { sum += x[i] * x[i]; }
      let total = group_sum(sum, tid);
      if (tid == 0 && group < uniforms.groups) { result[uniforms.offset + group] = total; }
    }`,
};

const ROOT: Kernel = {
  name: 'root-of-sum',
  inputs: ['x'],
  uniforms: { count: 'i' },
  workgroupSize: SIZE,
  code: `${reduction(SIZE)}
    fn main(index : i32) {
      let tid = i32(localId.x);
      var sum = 0.0;
      for (var i = tid; i < uniforms.count; i += ${SIZE}) { sum += x[i]; }
      let total = group_sum(sum, tid);
      if (tid == 0) { result[0] = sqrt(total); }
    }`,
};

/** √Σ‖g‖² of some gradients. */
export function globalNorm(gradients: readonly tf.Tensor[]): tf.Scalar {
  return tf.tidy(() => {
    const groups = gradients.map(({ size }) => Math.min(NORM_GROUPS, groupsFor(size, SIZE)));
    const count = groups.reduce((sum, value) => sum + value, 0);
    const partial = tf.fill([count], 0);
    let offset = 0;
    for (const [i, gradient] of gradients.entries()) {
      const own = groups[i] as number;
      runInPlace(SQUARES, partial, { inputs: [gradient], uniforms: [gradient.size, own, offset], groups: own });
      offset += own;
    }
    return runKernel<tf.Rank.R0>(ROOT, [] as never, { inputs: [partial], uniforms: [count], groups: 1 });
  });
}

const MOMENTS: Kernel = {
  name: 'adamw-moments',
  inputs: ['gradient', 'factor'],
  uniforms: { count: 'i', beta1: 'f', beta2: 'f' },
  workgroupSize: SIZE,
  code: `
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      let g = gradient[index] * factor[0];
      let second = uniforms.count + index;
      result[index] = uniforms.beta1 * result[index] + (1.0 - uniforms.beta1) * g;
      result[second] = uniforms.beta2 * result[second] + (1.0 - uniforms.beta2) * g * g;
    }`,
};

const STEP: Kernel = {
  name: 'adamw-step',
  inputs: ['moments', 'numbers'],
  uniforms: { count: 'i', factor: 'f', decay: 'f' },
  workgroupSize: SIZE,
  code: `
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      let rate = numbers[0] * uniforms.factor;
      let ratio = moments[index] / (sqrt(moments[uniforms.count + index]) + numbers[2]);
      result[index] = (1.0 - rate * uniforms.decay) * result[index] - rate * numbers[1] * ratio;
    }`,
};

/** What one weight's update needs beside tensors; the same in every step, so that its bindings can be used again. */
export interface AdamWConstants {
  readonly beta1: number;
  readonly beta2: number;
  /** Factor on the learning rate. */
  readonly factor: number;
  readonly decay: number;
}

/**
 * Updates moments [2, P] and weight (P elements) in place; `scale` multiplies the gradient first. `numbers` are the learning rate,
 * √c₂/c₁ and ε·√c₂ of this step.
 */
export function adamwInPlace(
  weight: tf.Tensor,
  moments: tf.Tensor,
  gradient: tf.Tensor,
  scale: tf.Tensor,
  numbers: tf.Tensor,
  { beta1, beta2, factor, decay }: AdamWConstants,
): void {
  const groups = groupsFor(gradient.size, SIZE);
  runInPlace(MOMENTS, moments, { inputs: [gradient, scale], uniforms: [gradient.size, beta1, beta2], groups });
  runInPlace(STEP, weight, { inputs: [moments, numbers], uniforms: [gradient.size, factor, decay], groups });
}
