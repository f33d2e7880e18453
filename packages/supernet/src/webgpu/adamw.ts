// The optimiser on WebGPU: gradient norm, clipping and AdamW in place, two dispatches a weight and one for its norm.
import * as tf from '@tensorflow/tfjs';
import { groupsFor, reduction, runInPlace, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const SIZE = 256;
/** Gradients summed by one dispatch: WebGPU guarantees eight storage buffers, one is the result. */
const TOGETHER = 7;
/** Workgroups of each. */
const NORM_GROUPS = 16;

const lanes = Array.from({ length: TOGETHER }, (_, i) => i);

const SQUARES: Kernel = {
  name: 'sum-squares',
  inputs: lanes.map((i) => `x${i}`),
  uniforms: { ...Object.fromEntries(lanes.map((i) => [`count${i}`, 'i'] as const)), offset: 'i' },
  workgroupSize: SIZE,
  code: `${reduction(SIZE)}
    fn squares(lane : i32, first : i32) -> f32 {
      var sum = 0.0;
      switch (lane) {
        ${lanes.map((i) => `case ${i}: { for (var i = first; i < uniforms.count${i}; i += ${NORM_GROUPS * SIZE}) { sum += x${i}[i] * x${i}[i]; } }`).join('\n        ')}
        default: {}
      }
      return sum;
    }
    fn main(index : i32) {
      let tid = i32(localId.x);
      let group = index / ${SIZE};
      let total = group_sum(squares(group / ${NORM_GROUPS}, group % ${NORM_GROUPS} * ${SIZE} + tid), tid);
      if (tid == 0) { result[uniforms.offset + group] = total; }
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
    const groups = TOGETHER * NORM_GROUPS;
    const count = Math.ceil(gradients.length / TOGETHER) * groups;
    let partial: tf.Tensor | undefined;
    for (let start = 0, offset = 0; start < gradients.length; start += TOGETHER, offset += groups) {
      const some = gradients.slice(start, start + TOGETHER);
      // Lanes left over read the first gradient, none of it.
      const inputs = lanes.map((i) => some[i] ?? (some[0] as tf.Tensor));
      const dispatch = { inputs, uniforms: [...lanes.map((i) => some[i]?.size ?? 0), offset], groups };
      if (partial) runInPlace(SQUARES, partial, dispatch);
      else partial = runKernel<tf.Rank.R1>(SQUARES, [count], dispatch);
    }
    if (!partial) return tf.scalar(0);
    return runKernel<tf.Rank.R0>(ROOT, [] as never, { inputs: [partial], uniforms: [count], groups: 1 });
  });
}

const CLIP: Kernel = {
  name: 'clip-factor',
  inputs: ['norm'],
  uniforms: { limit: 'f' },
  workgroupSize: 1,
  code: 'fn main(index : i32) { if (index == 0) { result[0] = min(1.0, uniforms.limit / (norm[0] + 1e-12)); } }',
};

/** min(1, limit / norm) without a constant to upload. */
export function clipFactor(norm: tf.Scalar, limit: number): tf.Scalar {
  return runKernel<tf.Rank.R0>(CLIP, [] as never, { inputs: [norm], uniforms: [limit], groups: 1 });
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
