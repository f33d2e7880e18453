// Rotary position embedding (Su 2021) in transformers' half-split layout, from cached cos/sin tables.
import * as tf from '@tensorflow/tfjs';
import { customGradient } from './custom-gradient.ts';
import { rotate } from '../webgpu/elementwise.ts';
import { onWebGpu } from '../webgpu/program.ts';
import { inverseFrequencies } from '@hip/checkpoints/families';
import type { RopeConfig } from '@hip/checkpoints';

/** cos and signed sin of a range of positions, each [1, T, 1, d]. */
export interface RopeTables {
  readonly cos: tf.Tensor4D;
  /** (−sin, sin): multiplies the swapped halves. */
  readonly sin: tf.Tensor4D;
}

/** Tables of one model, grown on demand; `dispose` frees them. */
export class RopeCache {
  readonly #rope: RopeConfig;
  readonly #headSize: number;
  #tables: { cos: tf.Tensor2D; sin: tf.Tensor2D } | undefined;
  #frequencies: readonly number[] = [];

  constructor(rope: RopeConfig, headSize: number) {
    this.#rope = rope;
    this.#headSize = headSize;
  }

  /** Tables of positions offset … offset + length − 1. */
  at(offset: number, length: number): RopeTables {
    const end = offset + length;
    const frequencies = this.#frequenciesFor(end);
    if (!this.#tables || this.#tables.cos.shape[0] < end || frequencies !== this.#frequencies) {
      this.dispose();
      this.#frequencies = frequencies;
      this.#tables = buildTables(
        frequencies,
        this.#rope.attentionFactor,
        Math.max(128, 2 ** Math.ceil(Math.log2(end))),
      );
    }
    const { cos, sin } = this.#tables;
    const cut = (table: tf.Tensor2D): tf.Tensor4D =>
      tf.reshape(tf.slice2d(table, [offset, 0], [length, this.#headSize]), [1, length, 1, this.#headSize]);
    return { cos: cut(cos), sin: cut(sin) };
  }

  dispose(): void {
    this.#tables?.cos.dispose();
    this.#tables?.sin.dispose();
    this.#tables = undefined;
  }

  #frequenciesFor(length: number): readonly number[] {
    const { dynamic, theta, inverseFrequencies: base } = this.#rope;
    if (!dynamic || length <= dynamic.maxPositions) return base;
    const d = this.#headSize;
    const stretch = (dynamic.factor * length) / dynamic.maxPositions - (dynamic.factor - 1);
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

function buildTables(
  frequencies: readonly number[],
  factor: number,
  length: number,
): { cos: tf.Tensor2D; sin: tf.Tensor2D } {
  const half = frequencies.length;
  const cos = new Float32Array(length * 2 * half);
  const sin = new Float32Array(length * 2 * half);
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < half; i++) {
      // The angle is rounded to float32 as in transformers, then taken exactly.
      const angle = Math.fround(position * (frequencies[i] as number));
      const at = position * 2 * half + i;
      cos[at] = cos[at + half] = Math.cos(angle) * factor;
      sin[at + half] = Math.sin(angle) * factor;
      sin[at] = -sin[at + half]!;
    }
  }
  const keep = (values: Float32Array) => tf.keep(tf.tensor2d(values, [length, 2 * half]));
  return { cos: keep(cos), sin: keep(sin) };
}
