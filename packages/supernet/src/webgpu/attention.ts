// The softmax of attention and its gradient on WebGPU: scale, masks and normalisation in one dispatch.
import type * as tf from '@tensorflow/tfjs';
import { groupsFor, reduction, runKernel } from './program.ts';
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

const softmaxKernel = (padded: boolean, flagged: boolean): Kernel => ({
  name: `attention-softmax${padded ? '-padded' : ''}${flagged ? '-flagged' : ''}`,
  inputs: ['scores', ...(padded ? ['padding'] : []), ...(flagged ? ['flags'] : [])],
  uniforms: {
    rows: 'i',
    keys: 'i',
    queries: 'i',
    heads: 'i',
    kvHeads: 'i',
    causal: 'i',
    first: 'i',
    window: 'i',
    width: 'i',
    scale: 'f',
  },
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn isHidden(row : i32, key : i32) -> bool {
      let position = uniforms.first + row % uniforms.queries;
      var hidden = uniforms.causal == 1 && key > position;
      if (uniforms.window > 0) {
        hidden = hidden || key <= position - uniforms.window || (uniforms.causal == 0 && key >= position + uniforms.window);
      }
      ${padded ? 'hidden = hidden || padding[row / (uniforms.queries * uniforms.heads) * uniforms.width + key] == 0;' : ''}
      return hidden;
    }
    fn score(row : i32, key : i32) -> f32 {
      // Whatever the score of a hidden key would be; alike, so that a row that sees nothing weighs all keys alike.
      return select(scores[row * uniforms.keys + key] * uniforms.scale, -3.4e38, isHidden(row, key));
    }
    fn weight(row : i32, key : i32, largest : f32) -> f32 {
      ${
        flagged
          ? `let batch = row / (uniforms.queries * uniforms.heads);
      let kvHead = row / (uniforms.queries * (uniforms.heads / uniforms.kvHeads)) % uniforms.kvHeads;
      if (flags[(batch * uniforms.keys + key) * uniforms.kvHeads + kvHead] > 0.0 && !isHidden(row, key)) { return uniforms.NAN; }`
          : ''
      }
      return exp(score(row, key) - largest);
    }
    fn main(index : i32) {${rowStart}
      var largest = -3.4e38;
      for (var key = tid; key < uniforms.keys; key += ${ROW}) { largest = max(largest, score(row, key)); }
      largest = group_max(largest, tid);
      var sum = 0.0;
      for (var key = tid; key < uniforms.keys; key += ${ROW}) { sum += weight(row, key, largest); }
      let inverse = 1.0 / group_sum(sum, tid);
      for (var key = tid; key < uniforms.keys; key += ${ROW}) {
        result[base + key] = exp(score(row, key) - largest) * inverse;
      }
    }`,
});

const SOFTMAX = [softmaxKernel(false, false), softmaxKernel(false, true)] as const;
const SOFTMAX_PADDED = [softmaxKernel(true, false), softmaxKernel(true, true)] as const;

/**
 * softmax(scores · scale + masks) of scores [B·H, rows, keys] (any leading split). With flags [B, keys, Hkv, 1] (1 = not finite) a row
 * that sees such a key is NaN.
 */
export function attentionSoftmax(
  scores: tf.Tensor3D,
  scale: number,
  mask: ScoreMask,
  flags?: tf.Tensor4D,
): tf.Tensor3D {
  const { batch, heads, rows, keys, causal, first, window, padding } = mask;
  const total = batch * heads * rows;
  const kvHeads = flags?.shape[2] ?? heads;
  const [plain, flagged] = padding ? SOFTMAX_PADDED : SOFTMAX;
  return runKernel<tf.Rank.R3>(flags ? flagged : plain, scores.shape, {
    inputs: [scores, padding, flags].filter((tensor) => tensor !== undefined),
    uniforms: [total, keys, rows, heads, kvHeads, causal ? 1 : 0, first, window ?? 0, padding?.shape[1] ?? 0, scale],
    groups: total,
  });
}

const SIZE = 128;

/** By its exponent: a shader may take it that no number is NaN. */
const IS_FINITE = 'fn isFinite(x : f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }';

const FINITE_BY_HEAD: Kernel = {
  name: 'finite-by-head',
  inputs: ['x'],
  uniforms: { count: 'i', length: 'i', heads: 'i', size: 'i' },
  workgroupSize: SIZE,
  code: `${IS_FINITE}
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      let c = index % uniforms.size;
      let t = index / uniforms.size % uniforms.length;
      let h = index / (uniforms.size * uniforms.length) % uniforms.heads;
      let b = index / (uniforms.size * uniforms.length * uniforms.heads);
      let value = x[((b * uniforms.length + t) * uniforms.heads + h) * uniforms.size + c];
      result[index] = select(0.0, value, isFinite(value));
    }`,
};

/** x [B, T, H, d] head by head [B·H, T, d], with 0 in place of what is not finite. */
export function finiteByHead(x: tf.Tensor4D): tf.Tensor3D {
  const [batch, length, heads, size] = x.shape;
  return runKernel<tf.Rank.R3>(FINITE_BY_HEAD, [batch * heads, length, size], {
    inputs: [x],
    uniforms: [x.size, length, heads, size],
    groups: groupsFor(x.size, SIZE),
  });
}

const FLAG_NOT_FINITE: Kernel = {
  name: 'flag-not-finite',
  inputs: ['k', 'v'],
  uniforms: { count: 'i', size: 'i' },
  workgroupSize: SIZE,
  code: `${IS_FINITE}
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      var isBad = false;
      for (var at = index * uniforms.size; at < (index + 1) * uniforms.size; at++) {
        isBad = isBad || !isFinite(k[at]) || !isFinite(v[at]);
      }
      result[index] = select(0.0, 1.0, isBad);
    }`,
};

/** 1 for keys [B, T, Hkv, 1] of which a number, or one of its value, is not finite. */
export function flagNotFinite(k: tf.Tensor4D, v: tf.Tensor4D): tf.Tensor4D {
  const [batch, length, heads, size] = k.shape;
  const count = batch * length * heads;
  return runKernel<tf.Rank.R4>(FLAG_NOT_FINITE, [batch, length, heads, 1], {
    inputs: [k, v],
    uniforms: [count, size],
    groups: groupsFor(count, SIZE),
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
