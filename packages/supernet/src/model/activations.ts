// Activation functions of the transformer families, exact as transformers defines them, with compact gradients.
import * as tf from '@tensorflow/tfjs';
import { elementwise, isFused } from '../webgpu/elementwise.ts';
import type { FusedActivation } from '../webgpu/elementwise.ts';
import { onWebGpu } from '../webgpu/tfjs-backend.ts';
import { customGradient } from './custom-gradient.ts';
import type { Activation } from '@hip/checkpoints';

/** Applies an activation elementwise (differentiable). */
export function activate(x: tf.Tensor2D, activation: Activation): tf.Tensor2D {
  if (isFused(activation) && onWebGpu()) return fused(x, activation);
  switch (activation) {
    case 'silu':
      return silu(x);
    case 'gelu':
      return gelu(x);
    case 'gelu-tanh':
      return geluTanh(x);
    case 'quick-gelu':
      return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
    case 'relu':
      return tf.relu(x);
    case 'tanh':
      return tf.tanh(x);
  }
}

/** act(gate) · up in one differentiable step (SwiGLU for silu, Shazeer 2020). */
export function gatedActivation(gate: tf.Tensor2D, up: tf.Tensor2D, activation: Activation): tf.Tensor2D {
  if (isFused(activation) && onWebGpu()) return fusedGated(gate, up, activation);
  if (activation !== 'silu') return tf.mul(activate(gate, activation), up);
  return customGradient([gate, up], ([g, u], save) => {
    const s = tf.sigmoid(g);
    const activated = tf.mul(g, s);
    save([g, u, s]);
    return {
      value: tf.mul(activated, u),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [gs, us, ss] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const act = tf.mul(gs, ss);
        // d silu = s + silu·(1 − s)
        const slope = tf.add(ss, tf.sub(act, tf.mul(act, ss)));
        return [tf.mul(tf.mul(dy, us), slope), tf.mul(dy, act)];
      },
    };
  });
}

function silu(x: tf.Tensor2D): tf.Tensor2D {
  return customGradient([x], ([input], save) => {
    const s = tf.sigmoid(input);
    save([input, s]);
    return {
      value: tf.mul(input, s),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [v, sv] = saved as [tf.Tensor2D, tf.Tensor2D];
        const act = tf.mul(v, sv);
        return [tf.mul(dy, tf.add(sv, tf.sub(act, tf.mul(act, sv))))];
      },
    };
  });
}

/** x·Φ(x) with the error function. */
function gelu(x: tf.Tensor2D): tf.Tensor2D {
  return customGradient([x], ([input], save) => {
    const cdf = tf.add(tf.mul(erf(tf.mul(input, Math.SQRT1_2)), 0.5), 0.5);
    save([input, cdf]);
    return {
      value: tf.mul(input, cdf),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [v, phi] = saved as [tf.Tensor2D, tf.Tensor2D];
        const density = tf.mul(tf.exp(tf.mul(tf.square(v), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return [tf.mul(dy, tf.add(phi, tf.mul(v, density)))];
      },
    };
  });
}

/** erf where the backend has it. */
function erf(x: tf.Tensor2D): tf.Tensor2D {
  return tf.erf(x);
}

/** 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
function geluTanh(x: tf.Tensor2D): tf.Tensor2D {
  return customGradient([x], ([input], save) => {
    const squared = tf.square(input);
    const t = tf.tanh(tf.mul(tf.mul(input, tf.add(tf.mul(squared, 0.044715), 1)), SQRT_2_OVER_PI));
    const half = tf.add(tf.mul(t, 0.5), 0.5);
    save([input, t, half]);
    return {
      value: tf.mul(input, half),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
        const [v, tv, h] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
        const inner = tf.mul(tf.add(tf.mul(tf.square(v), 3 * 0.044715), 1), SQRT_2_OVER_PI / 2);
        const slope = tf.mul(tf.mul(v, tf.sub(1, tf.square(tv))), inner);
        return [tf.mul(dy, tf.add(h, slope))];
      },
    };
  });
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

function fused(x: tf.Tensor2D, activation: FusedActivation): tf.Tensor2D {
  return customGradient([x], ([input], save) => {
    save([input]);
    return {
      value: elementwise(activation, 'forward', input),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => [
        elementwise(activation, 'gradient', saved[0] as tf.Tensor, dy),
      ],
    };
  });
}

function fusedGated(gate: tf.Tensor2D, up: tf.Tensor2D, activation: FusedActivation): tf.Tensor2D {
  return customGradient([gate, up], ([g, u], save) => {
    save([g, u]);
    return {
      value: elementwise(activation, 'gated', g, u),
      gradFunc: (dy: tf.Tensor2D, saved: tf.Tensor[]) => [
        elementwise(activation, 'gate-gradient', saved[0] as tf.Tensor, saved[1] as tf.Tensor, dy),
        elementwise(activation, 'up-gradient', saved[0] as tf.Tensor, dy),
      ],
    };
  });
}
