// Rotary position embedding (Su 2021) in transformers' half-split layout, from cached cos/sin tables.
import * as tf from '@tensorflow/tfjs';
import { customGradient } from './custom-gradient.ts';
import { rotate } from '../webgpu/elementwise.ts';
import { onWebGpu } from '../webgpu/tfjs-backend.ts';
import { SupernetError } from '../errors.ts';
import { hostValues } from './host-values.ts';
import type { Positions } from './positions.ts';
import { inverseFrequencies } from '@hip/checkpoints/families';
import type { RopeConfig } from '@hip/checkpoints';

/** cos and signed sin of the tokens of a pass, each [1, T, 1, d], or [B, T, 1, d] where sequences differ. */
export interface RopeTables {
  readonly cos: tf.Tensor4D;
  /** (−sin, sin): multiplies the swapped halves. */
  readonly sin: tf.Tensor4D;
}

interface Table {
  readonly cos: tf.Tensor2D;
  readonly sin: tf.Tensor2D;
}

/** Tables of one model, grown on demand; `dispose` frees them. */
export class RopeCache {
  readonly #rope: RopeConfig;
  readonly #headSize: number;
  #table: Table | undefined;

  constructor(rope: RopeConfig, headSize: number) {
    this.#rope = rope;
    this.#headSize = headSize;
  }

  /**
   * Tables of a pass.
   *
   * @param sequenceTokens of the prompt that the pass is a part of: dynamic NTK takes one θ for it. @defaultValue as many as there are
   * @throws SupernetError `unsupported` where dynamic NTK would need positions or a mask that are on a device only
   */
  at(positions: Positions, sequenceTokens?: number): RopeTables {
    const stretched = this.#stretched(positions, sequenceTokens);
    if (stretched) return stretched;
    const { offset, length, ids, end } = positions;
    const size = this.#headSize;
    const { cos, sin } = this.#tableTo(end);
    const cut = (table: tf.Tensor2D): tf.Tensor4D =>
      ids
        ? tf.reshape(tf.gather(table, tf.reshape(ids, [-1]) as tf.Tensor1D), [ids.shape[0], length, 1, size])
        : tf.reshape(tf.slice2d(table, [offset, 0], [length, size]), [1, length, 1, size]);
    return { cos: cut(cos), sin: cut(sin) };
  }

  dispose(): void {
    this.#table?.cos.dispose();
    this.#table?.sin.dispose();
    this.#table = undefined;
  }

  #tableTo(end: number): Table {
    if (this.#table && this.#table.cos.shape[0] >= end) return this.#table;
    this.dispose();
    const rows = Math.max(128, 2 ** Math.ceil(Math.log2(end)));
    const { inverseFrequencies: frequencies, attentionFactor } = this.#rope;
    const { cos, sin } = buildTable(
      Array.from({ length: rows }, (_, i) => i),
      () => frequencies,
      attentionFactor,
    );
    this.#table = { cos: tf.keep(cos), sin: tf.keep(sin) };
    return this.#table;
  }

  /** Tables of dynamic NTK where a sequence is beyond the original positions: its own θ each, whatever lies beside it in the batch. */
  #stretched(positions: Positions, sequenceTokens: number | undefined): RopeTables | undefined {
    const { dynamic } = this.#rope;
    const { offset, length, ids, end, slots, tokens } = positions;
    if (!dynamic) return undefined;
    // Of what is still to come nobody is padded.
    const rest = Math.max(0, (sequenceTokens ?? slots) - slots);
    if (end + rest <= dynamic.maxPositions) return undefined;
    const places = ids && hostValues(ids);
    if (tokens === 'unknown' || (ids && !places)) {
      throw new SupernetError(
        'unsupported',
        `dynamic NTK beyond ${dynamic.maxPositions} tokens takes θ from each sequence's length: give attentionMask and positionIds as they come from the host, or run sequences one by one, unpadded`,
        { maxPositions: dynamic.maxPositions },
      );
    }
    const totals = (tokens ?? [end]).map((own) => own + rest);
    if (Math.max(...totals) <= dynamic.maxPositions) return undefined;
    const frequencies = totals.map((own) => this.#frequenciesFor(own));
    const rows = Array.from({ length: totals.length * length }, (_, i) =>
      places ? (places[i] as number) : offset + (i % length),
    );
    const own = (row: number): readonly number[] => frequencies[Math.floor(row / length)] as readonly number[];
    const { cos, sin } = buildTable(rows, own, this.#rope.attentionFactor);
    const shape = [totals.length, length, 1, this.#headSize] as [number, number, number, number];
    return { cos: tf.reshape(cos, shape), sin: tf.reshape(sin, shape) };
  }

  #frequenciesFor(tokens: number): readonly number[] {
    const { dynamic, theta, inverseFrequencies: base } = this.#rope;
    if (!dynamic || tokens <= dynamic.maxPositions) return base;
    const d = this.#headSize;
    const stretch = (dynamic.factor * tokens) / dynamic.maxPositions - (dynamic.factor - 1);
    return inverseFrequencies(theta * stretch ** (d / (d - 2)), d);
  }
}

/** Rotates x [B, T, H, d]; differentiable, the gradient is the inverse rotation. */
export function applyRope(x: tf.Tensor4D, { cos, sin }: RopeTables): tf.Tensor4D {
  return customGradient([x], ([input], save) => {
    save([cos, sin]);
    if (onWebGpu()) {
      return {
        value: rotate(input, cos, sin, 1),
        gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => [
          rotate(dy, saved[0] as tf.Tensor, saved[1] as tf.Tensor, -1),
        ],
      };
    }
    return {
      value: tf.add(tf.mul(input, cos), tf.mul(swapHalves(input), sin)),
      gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => {
        const [c, s] = saved as [tf.Tensor4D, tf.Tensor4D];
        return [tf.sub(tf.mul(dy, c), tf.mul(swapHalves(dy), s))];
      },
    };
  });
}

function swapHalves(x: tf.Tensor4D): tf.Tensor4D {
  const [batch, length, heads, size] = x.shape;
  const half = size / 2;
  const first = tf.slice4d(x, [0, 0, 0, 0], [batch, length, heads, half]);
  const second = tf.slice4d(x, [0, 0, 0, half], [batch, length, heads, half]);
  return tf.concat([second, first], 3);
}

/** Rows of cos and signed sin of positions, each by its own frequencies. */
function buildTable(
  positions: readonly number[],
  frequenciesOf: (row: number) => readonly number[],
  factor: number,
): Table {
  const half = frequenciesOf(0).length;
  const cos = new Float32Array(positions.length * 2 * half);
  const sin = new Float32Array(positions.length * 2 * half);
  for (const [row, position] of positions.entries()) {
    const frequencies = frequenciesOf(row);
    for (let i = 0; i < half; i++) {
      // The angle is rounded to float32 as in transformers, then taken exactly.
      const angle = Math.fround(position * (frequencies[i] as number));
      const at = row * 2 * half + i;
      cos[at] = cos[at + half] = Math.cos(angle) * factor;
      sin[at + half] = Math.sin(angle) * factor;
      sin[at] = -sin[at + half]!;
    }
  }
  const table = (values: Float32Array) => tf.tensor2d(values, [positions.length, 2 * half]);
  return { cos: table(cos), sin: table(sin) };
}
