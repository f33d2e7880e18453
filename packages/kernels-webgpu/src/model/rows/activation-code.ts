// WGSL of activation functions, with no overflow on the way to a finite result.
import { HipError } from '../../errors/gpu-errors.ts';
import { isNaNumber } from '../../code/finite.ts';

/** `gelu` by the error function, `gelu-tanh` by its approximation, `gelu-quick` x·σ(1.702x). */
export type ActivationFunction =
  | 'identity'
  | 'silu'
  | 'gelu'
  | 'gelu-tanh'
  | 'gelu-quick'
  | 'relu'
  | 'relu-squared'
  | 'sigmoid'
  | 'tanh';

/** 1 / (1 + e^−y): e^88 is finite. */
const SIGMOID = `fn sigmoid(y: f32) -> f32 { return 1.0 / (1.0 + exp(clamp(-y, -88.0, 88.0))); }`;

/** e^−88 is no number of f32 that all devices keep, so far below 0 it is taken for 0. */
const GATED = `fn times_sigmoid(x: f32, y: f32) -> f32 { return select(x * sigmoid(y), 0.0, y < -88.0); }`;

/** Below an eighth, where 2σ(2x) − 1 cancels, a series. */
const TANH = `fn tanh_of(x: f32) -> f32 {
  let square = x * x;
  let series = x * (1.0 + square * (-0.3333333333 + square * (0.1333333333 - square * 0.0539682540)));
  return select(2.0 * sigmoid(2.0 * x) - 1.0, series, abs(x) < 0.125);
}`;

const BODIES: Readonly<Record<ActivationFunction, readonly string[]>> = {
  identity: ['fn curve(x: f32) -> f32 { return x; }'],
  silu: [SIGMOID, GATED, 'fn curve(x: f32) -> f32 { return times_sigmoid(x, x); }'],
  // Φ by Abramowitz and Stegun, 7.1.26.
  gelu: [
    `fn curve(x: f32) -> f32 {
  let size = min(abs(x) * 0.7071067811865476, 13.0);
  let t = 1.0 / (1.0 + 0.3275911 * size);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let rest = 0.5 * p * exp(-size * size);
  return x * select(1.0 - rest, rest, x < 0.0);
}`,
  ],
  'gelu-tanh': [
    SIGMOID,
    GATED,
    `fn curve(x: f32) -> f32 { let y = clamp(x, -1e6, 1e6); return times_sigmoid(x, 1.5957691216057308 * (y + 0.044715 * y * y * y)); }`,
  ],
  'gelu-quick': [SIGMOID, GATED, 'fn curve(x: f32) -> f32 { return times_sigmoid(x, 1.702 * x); }'],
  relu: ['fn curve(x: f32) -> f32 { return max(x, 0.0); }'],
  'relu-squared': ['fn curve(x: f32) -> f32 { let y = max(x, 0.0); return y * y; }'],
  sigmoid: [SIGMOID, 'fn curve(x: f32) -> f32 { return sigmoid(x); }'],
  tanh: [SIGMOID, TANH, 'fn curve(x: f32) -> f32 { return tanh_of(x); }'],
};

/** `fn activate(x: f32) -> f32` and what it calls; NaN stays what it is, whatever a device makes of it on the way. */
export function activationCode(activation: ActivationFunction): string {
  return `${BODIES[activation].join('\n')}
fn activate(x: f32) -> f32 { return select(curve(x), x, ${isNaNumber('x')}); }`;
}

/** @throws HipError `unsupported` for a name that is none */
export function checkActivation(activation: ActivationFunction): void {
  if (Object.hasOwn(BODIES, activation)) return;
  const message = `activation is ${activation as string}: give one of ${Object.keys(BODIES).join(', ')}`;
  throw new HipError('unsupported', message, { name: 'activation', value: activation });
}

/** `fn softcapped(x: f32, cap: f32) -> f32`: cap · tanh(x / cap). */
export const SOFTCAP_CODE = `${SIGMOID}
${TANH}
fn softcapped(x: f32, cap: f32) -> f32 { return select(cap * tanh_of(x / cap), x, ${isNaNumber('x')}); }`;
