// Sums in place, activations, gated activations and rotary embedding on WebGPU: one dispatch forward, one per gradient.
import type * as tf from '@tensorflow/tfjs';
import { groupsFor, runInPlace, runKernel } from './program.ts';
import { isShared } from './tfjs-backend.ts';
import type { Kernel } from './program.ts';

const SIZE = 128;

/** WGSL of act(v) and act′(v). Erf by Abramowitz & Stegun 7.1.26, error below 1.5e-7. */
const ACTIVATIONS = {
  gelu: `
    fn phi(v : f32) -> f32 {
      let z = abs(v) * 0.7071067811865476;
      let t = 1.0 / (1.0 + 0.3275911 * z);
      let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-z * z);
      return select(0.5 * tail, 1.0 - 0.5 * tail, v >= 0.0);
    }
    fn act(v : f32) -> f32 { return v * phi(v); }
    fn slope(v : f32) -> f32 { return phi(v) + v * 0.3989422804014327 * exp(-0.5 * v * v); }`,
  'gelu-tanh': `
    fn inner(v : f32) -> f32 { return clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -10.0, 10.0); }
    fn act(v : f32) -> f32 { return 0.5 * v * (1.0 + tanh(inner(v))); }
    fn slope(v : f32) -> f32 {
      let t = tanh(inner(v));
      return 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * v * v);
    }`,
  silu: `
    fn act(v : f32) -> f32 { return v / (1.0 + exp(-v)); }
    fn slope(v : f32) -> f32 { let s = 1.0 / (1.0 + exp(-v)); return s + v * s * (1.0 - s); }`,
} as const;

/** Activations that have a kernel. */
export type FusedActivation = keyof typeof ACTIVATIONS;

export function isFused(activation: string): activation is FusedActivation {
  return Object.hasOwn(ACTIVATIONS, activation);
}

const FORMS = {
  forward: { inputs: ['x'], value: 'act(x[index])' },
  gradient: { inputs: ['x', 'dy'], value: 'dy[index] * slope(x[index])' },
  gated: { inputs: ['x', 'up'], value: 'act(x[index]) * up[index]' },
  'gate-gradient': { inputs: ['x', 'up', 'dy'], value: 'dy[index] * up[index] * slope(x[index])' },
  'up-gradient': { inputs: ['x', 'dy'], value: 'dy[index] * act(x[index])' },
} as const;

function kernel(activation: FusedActivation, form: keyof typeof FORMS): Kernel {
  const { inputs, value } = FORMS[form];
  return {
    name: `${activation}-${form}`,
    inputs,
    uniforms: { count: 'i' },
    workgroupSize: SIZE,
    code: `${ACTIVATIONS[activation]}
    fn main(index : i32) { if (index < uniforms.count) { result[index] = ${value}; } }`,
  };
}

const kernels = new Map<string, Kernel>();

/** Runs one form of an activation on tensors of equal shape. */
export function elementwise(
  activation: FusedActivation,
  form: keyof typeof FORMS,
  ...inputs: readonly tf.Tensor[]
): tf.Tensor2D {
  const key = `${activation} ${form}`;
  const found = kernels.get(key) ?? kernel(activation, form);
  kernels.set(key, found);
  const { shape, size } = inputs[0] as tf.Tensor2D;
  return runKernel<tf.Rank.R2>(found, shape, { inputs, uniforms: [size], groups: groupsFor(size, SIZE) });
}

const ROTATE: Kernel = {
  name: 'rotate',
  inputs: ['x', 'cosine', 'sine'],
  uniforms: { count: 'i', length: 'i', heads: 'i', size: 'i', direction: 'f' },
  workgroupSize: SIZE,
  code: `
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      let d = index % uniforms.size;
      let middle = uniforms.size / 2;
      let partner = index + select(-middle, middle, d < middle);
      let at = (index / (uniforms.size * uniforms.heads)) % uniforms.length * uniforms.size + d;
      result[index] = x[index] * cosine[at] + uniforms.direction * x[partner] * sine[at];
    }`,
};

/** x [B, T, H, d] rotated by cos and signed sin [1 or B, T, 1, d]; direction −1 is the gradient. */
export function rotate(x: tf.Tensor4D, cos: tf.Tensor, sin: tf.Tensor, direction: 1 | -1): tf.Tensor4D {
  const [, , heads, size] = x.shape;
  const length = cos.size / size;
  return runKernel<tf.Rank.R4>(ROTATE, x.shape, {
    inputs: [x, cos, sin],
    uniforms: [x.size, length, heads, size, direction],
    groups: groupsFor(x.size, SIZE),
  });
}

const ADD: Kernel = {
  name: 'add-in-place',
  inputs: ['x'],
  uniforms: { count: 'i' },
  workgroupSize: SIZE,
  code: 'fn main(index : i32) { if (index < uniforms.count) { result[index] += x[index]; } }',
};

/** target += x, unless another tensor reads the same memory; says whether it did. */
export function addInPlace(target: tf.Tensor, x: tf.Tensor): boolean {
  if (isShared(target)) return false;
  runInPlace(ADD, target, { inputs: [x], uniforms: [x.size], groups: groupsFor(x.size, SIZE) });
  return true;
}
