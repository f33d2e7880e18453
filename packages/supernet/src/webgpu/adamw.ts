// The optimiser on WebGPU: gradient norm, clipping, and AdamW in place, a few weights a dispatch.
import * as tf from '@tensorflow/tfjs';
import { runMany } from './pipelines.ts';
import { reduction, runInPlace, runKernel } from './program.ts';
import type { ManyKernel } from './pipelines.ts';
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

/** Weights updated by one dispatch: a weight and a gradient each, their moments and the numbers are eight buffers. */
export const WEIGHTS_TOGETHER = 3;

/** One weight's update. */
export interface AdamWLane {
  readonly weight: tf.Tensor;
  readonly gradient?: tf.Tensor;
  /** Where its numbers begin; −1 without a gradient: weight and moments stay as they are. */
  readonly at: number;
  /** Factor on the learning rate. */
  readonly factor: number;
  readonly decay: number;
}

const updates = new Map<number, ManyKernel>();

function update(count: number): ManyKernel {
  const all = lanes.slice(0, count);
  const uniforms = Object.fromEntries([
    ['beta1', 'f'],
    ['beta2', 'f'],
    ...all.flatMap((i) => [
      [`end${i}`, 'i'],
      [`at${i}`, 'i'],
      [`factor${i}`, 'f'],
      [`decay${i}`, 'f'],
    ]),
  ]) as Record<string, 'i' | 'f'>;
  const lane = (i: number) => {
    const from = i === 0 ? '0' : `uniforms.end${i - 1}`;
    return `if (i < uniforms.end${i}) {
        if (uniforms.at${i} < 0) { return; }
        let k = i - ${from};
        let rate = numbers[uniforms.at${i}] * uniforms.factor${i};
        weight${i}[k] = (1.0 - rate * uniforms.decay${i}) * weight${i}[k] - rate * direction(i, gradient${i}[k], uniforms.at${i});
        return;
      }`;
  };
  return {
    name: `adamw-${count}`,
    writes: [...all.map((i) => `weight${i}`), 'moments'],
    reads: [...all.map((i) => `gradient${i}`), 'numbers'],
    uniforms,
    workgroupSize: SIZE,
    code: `
      fn direction(i : i32, gradient : f32, at : i32) -> f32 {
        let g = gradient * numbers[0];
        let second = uniforms.end${count - 1} + i;
        let m = uniforms.beta1 * moments[i] + (1.0 - uniforms.beta1) * g;
        let v = uniforms.beta2 * moments[second] + (1.0 - uniforms.beta2) * g * g;
        moments[i] = m;
        moments[second] = v;
        return numbers[at + 1] * m / (sqrt(v) + numbers[at + 2]);
      }
      fn run(index : u32) {
        let i = i32(index);
        ${all.map(lane).join('\n        ')}
      }`,
  };
}

/**
 * Updates up to {@link WEIGHTS_TOGETHER} weights and their moments [2, ΣP] in place. `numbers` are a factor on the gradients, then
 * for each distinct count of steps the learning rate, √c₂/c₁ and ε·√c₂.
 */
export function adamwInPlace(
  group: readonly AdamWLane[],
  moments: tf.Tensor,
  numbers: tf.Tensor,
  { beta1, beta2 }: { readonly beta1: number; readonly beta2: number },
): void {
  const found = updates.get(group.length) ?? update(group.length);
  updates.set(group.length, found);
  let end = 0;
  const uniforms = [beta1, beta2];
  for (const { weight, at, factor, decay } of group) {
    end += weight.size;
    uniforms.push(end, at, factor, decay);
  }
  const any = group.find(({ gradient }) => gradient)?.gradient;
  if (!any) return;
  const writes = [...group.map(({ weight }) => weight), moments];
  const reads = [...group.map(({ gradient = any }) => gradient), numbers];
  runMany(found, { writes, reads }, uniforms, end);
}
