// Dense attention in float64: the oracle every kernel is tested against.
import type { AttentionShape } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { checkInputs, positionsOf, visibleKeys, type FloatArray } from '../inputs.ts';
import { throwIfAborted, type RunOptions } from '../work.ts';
import { addKey, emptyPartial, finishPartial } from './online-softmax.ts';
import { dot, logitOf, vectorOffset, type ScoreOptions } from './score.ts';

export interface DenseOptions extends ScoreOptions, RunOptions {
  /** Key j is visible to a row at position p iff j <= p. @defaultValue true */
  readonly causal?: boolean | undefined;
  /** [queries] absolute positions, not decreasing. @defaultValue row + keys − queries */
  readonly positions?: ArrayLike<number> | undefined;
  /** [queries, keys] added to the logits after scale and soft-cap; −Infinity hides a key. @defaultValue none */
  readonly bias?: FloatArray | undefined;
}

/**
 * softmax(scale·q·kᵀ)·v over all visible keys: what HiP approximates. Rows that see no key give 0.
 * Cost O(B·H·Tq·Tk·d) time, O(d) memory besides the result.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d] @param v [B, Tk, Hkv, d]
 * @returns [B, Tq, H, d]
 * @throws HipError `invalid-shape`, `invalid-config`, `non-finite`, `aborted`
 * @example
 * ```ts
 * import { denseAttention } from '@hip/mask-search';
 * const shape = { batch: 1, queries: 1, keys: 2, heads: 1, kvHeads: 1, headDim: 1 };
 * const output = [...denseAttention(Float32Array.of(0), Float32Array.of(5, 7), Float32Array.of(1, 3), shape)];
 * console.log(output); // => [ 2 ]
 * ```
 */
export function denseAttention(
  q: FloatArray,
  k: FloatArray,
  v: FloatArray,
  shape: AttentionShape,
  options: DenseOptions = {},
): Float64Array {
  checkInputs(shape, { q, k, v });
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const { causal = true, bias, work, signal, onProgress } = options;
  checkBias(bias, shape);
  const position = positionsOf(shape, options.positions);
  const group = heads / kvHeads;
  const logit = logitOf(d, options);
  const out = new Float64Array(q.length);
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row++) {
      throwIfAborted(signal);
      const visible = visibleKeys(position(row), keys, causal);
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const partial = emptyPartial(d);
        for (let key = 0; key < visible; key++) {
          const keyAt = vectorOffset(b, key, Math.floor(h / group), keys, kvHeads, d);
          addKey(partial, logit(dot(q, at, k, keyAt, d)) + (bias ? bias[row * keys + key]! : 0), v, keyAt);
        }
        finishPartial(partial, out, at);
        if (work) work.dotProducts += visible;
        if (work) work.keysTouched += visible;
      }
      onProgress?.((b * queries + row + 1) / (batch * queries));
    }
  }
  return out;
}

function checkBias(bias: FloatArray | undefined, { queries, keys }: AttentionShape): void {
  if (!bias) return;
  if (bias.length !== queries * keys) {
    const message = `bias holds ${bias.length} numbers: give [queries, keys] = ${queries * keys}`;
    throw new HipError('invalid-shape', message, { length: bias.length, expected: queries * keys });
  }
  const index = bias.findIndex((value) => !(value < Infinity));
  if (index >= 0)
    throw new HipError('non-finite', `bias[${index}] is ${bias[index]}: give numbers or −Infinity`, {
      index,
      value: bias[index],
    });
}
