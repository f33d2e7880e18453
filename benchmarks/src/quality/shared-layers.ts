// Outputs of the first, dense layers: alike for every method that keeps them dense, so one window computes them once.
import * as tf from '@tensorflow/tfjs';
import type { AttentionFunction } from '@instatune/supernet';

/** Layers whose outputs are kept: the largest l_d of the table. */
const LAYERS = 2;

export class SharedLayers {
  readonly #outputs = new Map<string, tf.Tensor4D>();

  /**
   * The same attention; layer l of the n-th call for it is taken from an earlier method's run of the same `pass`.
   *
   * @param denseLayers layers the method leaves dense
   * @param pass names the sequence that goes through the model
   */
  wrap(attention: AttentionFunction, denseLayers: number, pass: string): AttentionFunction {
    const calls = new Map<number, number>();
    return (q, k, v, context) => {
      const { layer } = context;
      if (layer >= Math.min(denseLayers, LAYERS)) return attention(q, k, v, context);
      const call = calls.get(layer) ?? 0;
      calls.set(layer, call + 1);
      const key = `${pass} ${layer} ${call}`;
      const known = this.#outputs.get(key);
      if (known) return tf.clone(known);
      const out = attention(q, k, v, context);
      this.#outputs.set(key, tf.keep(tf.clone(out)));
      return out;
    };
  }

  dispose(): void {
    tf.dispose([...this.#outputs.values()]);
    this.#outputs.clear();
  }
}
