// The softmax of attention and its gradient on WebGPU: scale, masks and normalisation in one dispatch.
import type * as tf from '@tensorflow/tfjs';
import { reduction, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const ROW = 64;

/** How rows of scores are masked. */
export interface ScoreMask {
  readonly batch: number;
  readonly heads: number;
  /** Query rows of one head. */
  readonly rows: number;
  readonly keys: number;
  readonly causal: boolean;
  /** Position of the first query row. */
  readonly first: number;
  readonly window: number | undefined;
  /** 1 = attend [B, ≥ keys] int32. */
  readonly padding: tf.Tensor | undefined;
}

const rowStart = `
      let tid = i32(localId.x);
      let row = min(index / ${ROW}, uniforms.rows - 1);
      let base = row * uniforms.keys;`;

const softmaxKernel = (padded: boolean): Kernel => ({
  name: `attention-softmax${padded ? '-padded' : ''}`,
  inputs: padded ? ['scores', 'padding'] : ['scores'],
  uniforms: {
    rows: 'i',
    keys: 'i',
    queries: 'i',
    heads: 'i',
    causal: 'i',
    first: 'i',
    window: 'i',
    width: 'i',
    scale: 'f',
  },
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn score(row : i32, key : i32) -> f32 {
      let position = uniforms.first + row % uniforms.queries;
      var value = scores[row * uniforms.keys + key] * uniforms.scale;
      // Masks do not add up: a row that sees nothing weighs all keys alike, as in the unfused form.
      var hidden = uniforms.causal == 1 && (key > position || (uniforms.window > 0 && key <= position - uniforms.window));
      ${padded ? 'hidden = hidden || padding[row / (uniforms.queries * uniforms.heads) * uniforms.width + key] == 0;' : ''}
      value += select(0.0, -1e9, hidden);
      return value;
    }
    fn main(index : i32) {${rowStart}
      var largest = -3.4e38;
      for (var key = tid; key < uniforms.keys; key += ${ROW}) { largest = max(largest, score(row, key)); }
      largest = group_max(largest, tid);
      var sum = 0.0;
      for (var key = tid; key < uniforms.keys; key += ${ROW}) { sum += exp(score(row, key) - largest); }
      let inverse = 1.0 / group_sum(sum, tid);
      for (var key = tid; key < uniforms.keys; key += ${ROW}) {
        result[base + key] = exp(score(row, key) - largest) * inverse;
      }
    }`,
});

const SOFTMAX = softmaxKernel(false);
const SOFTMAX_PADDED = softmaxKernel(true);

/** softmax(scores · scale + masks) of scores [B·H, rows, keys] (any leading split). */
export function attentionSoftmax(scores: tf.Tensor3D, scale: number, mask: ScoreMask): tf.Tensor3D {
  const { batch, heads, rows, keys, causal, first, window, padding } = mask;
  const total = batch * heads * rows;
  return runKernel<tf.Rank.R3>(padding ? SOFTMAX_PADDED : SOFTMAX, scores.shape, {
    inputs: padding ? [scores, padding] : [scores],
    uniforms: [total, keys, rows, heads, causal ? 1 : 0, first, window ?? 0, padding?.shape[1] ?? 0, scale],
    groups: total,
  });
}

const SOFTMAX_GRADIENT: Kernel = {
  name: 'attention-softmax-gradient',
  inputs: ['p', 'dp'],
  uniforms: { rows: 'i', keys: 'i', scale: 'f' },
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn main(index : i32) {${rowStart}
      var sum = 0.0;
      for (var key = tid; key < uniforms.keys; key += ${ROW}) { sum += p[base + key] * dp[base + key]; }
      let along = group_sum(sum, tid);
      for (var key = tid; key < uniforms.keys; key += ${ROW}) {
        result[base + key] = p[base + key] * (dp[base + key] - along) * uniforms.scale;
      }
    }`,
};

/** Gradient of the unscaled scores from probabilities p and the gradient of p, both [.., rows, keys]. */
export function attentionSoftmaxGradient(p: tf.Tensor3D, dp: tf.Tensor, scale: number): tf.Tensor3D {
  const keys = p.shape[2];
  const rows = p.size / keys;
  return runKernel<tf.Rank.R3>(SOFTMAX_GRADIENT, p.shape, {
    inputs: [p, dp],
    uniforms: [rows, keys, scale],
    groups: rows,
  });
}
