// What an attention loses in each layer and head, measured on the queries, keys and values of the dense run.
import * as tf from '@tensorflow/tfjs';
import { attendedKeys, maskStatistics, type AttentionShape, type BlockMask } from '@hip/mask-search';
import type { LayerContext, ModelAttention } from '../model.ts';
import { attentionOf, type RunOptions } from './model.ts';
import { probabilitiesOf } from './probabilities.ts';

export interface HeadFidelity {
  /** ‖output − dense output‖₂ / ‖dense output‖₂ over all rows measured. */
  readonly outputError: number;
  /** Share of dense attention's probability mass on the keys attended to; a mean over sampled rows. */
  readonly massKept: number;
}

export interface LayerFidelity extends HeadFidelity {
  readonly layer: number;
  /** Whether it attended over a mask; else every visible key, or its sliding window. */
  readonly isSparse: boolean;
  /** Keys a row attended to, on average. */
  readonly keysPerRow: number;
  /** Pseudo-keys of a row besides its keys, on average; 0 without a remainder. */
  readonly pseudoKeysPerRow: number;
  readonly heads: readonly HeadFidelity[];
}

/** Probabilities [H, rows, keys] of some rows of a call, for the mask that the call searches. */
interface Sample {
  readonly layer: number;
  readonly shape: AttentionShape;
  readonly rows: readonly number[];
  readonly probabilities: tf.Tensor3D;
  readonly window: number | undefined;
}

interface Sums {
  /** [2, H] squared differences and squares, on the device. */
  squares: tf.Tensor2D | undefined;
  readonly mass: number[];
  massRows: number;
  keys: number;
  pseudoKeys: number;
  rows: number;
  isSparse: boolean;
}

/** Measures one attention beside the dense run. */
export class LayerRecorder {
  readonly #attention: ModelAttention;
  /** Stands for this recorder's sequence: what the attention remembers of it is nobody else's. */
  readonly #sequence = {};
  readonly #layers = new Map<number, Sums>();
  readonly #masks = new Map<number, BlockMask>();
  #samples: Sample[] = [];

  constructor(options: RunOptions) {
    this.#attention = attentionOf(options, (mask, layer) => this.#masks.set(layer, mask));
  }

  /** Takes a call of the dense run and what came out of it; `rows` of it are sampled for their mass. */
  record(
    [q, k, v]: readonly [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D],
    exact: tf.Tensor4D,
    context: LayerContext,
    rows: readonly number[],
  ): void {
    const { layer, window } = context;
    const sums = this.#sumsOf(layer, q.shape[2]);
    const before = sums.squares;
    sums.squares = tf.tidy(() => {
      const out = this.#attention(q, k, v, { ...context, cache: this.#sequence });
      const each = (x: tf.Tensor): tf.Tensor => tf.sum(tf.square(x), [0, 1, 3]);
      const now = tf.stack([each(tf.sub(out, exact)), each(exact)]) as tf.Tensor2D;
      return tf.keep(before ? tf.add<tf.Tensor2D>(before, now) : now);
    });
    before?.dispose();
    const [batch, queries, heads, headDim] = q.shape;
    const shape = { batch, queries, keys: k.shape[1], heads, kvHeads: k.shape[2], headDim };
    const probabilities = tf.keep(tf.tidy(() => probabilitiesOf(q, k, rows, context)));
    this.#samples.push({ layer, shape, rows, probabilities, window });
  }

  /** After a pass: waits for masks that are read back, and adds up. Call it once the pass's output is on the host. */
  async settle(): Promise<void> {
    // Masks were asked for before the output, and what waits for them runs before the next task.
    await new Promise((resolve) => setTimeout(resolve, 0));
    const samples = this.#samples;
    this.#samples = [];
    for (const sample of samples) {
      const values = (await sample.probabilities.data()) as Float32Array;
      sample.probabilities.dispose();
      this.#add(sample, values, this.#masks.get(sample.layer));
    }
    this.#masks.clear();
  }

  async layers(): Promise<LayerFidelity[]> {
    const found: LayerFidelity[] = [];
    for (const [layer, sums] of [...this.#layers].sort(([a], [b]) => a - b)) {
      const squares = (await sums.squares!.data()) as Float32Array;
      const heads = sums.mass.length;
      const errorOf = (difference: number, norm: number): number =>
        difference === 0 ? 0 : Math.sqrt(difference / norm);
      const total = (from: number): number => squares.subarray(from, from + heads).reduce((sum, x) => sum + x, 0);
      const share = (mass: number): number => (sums.massRows === 0 ? NaN : mass / sums.massRows);
      found.push({
        layer,
        isSparse: sums.isSparse,
        keysPerRow: sums.keys / sums.rows,
        pseudoKeysPerRow: sums.pseudoKeys / sums.rows,
        outputError: errorOf(total(0), total(heads)),
        massKept: share(sums.mass.reduce((sum, mass) => sum + mass, 0) / heads),
        heads: sums.mass.map((mass, head) => ({
          outputError: errorOf(squares[head]!, squares[heads + head]!),
          massKept: share(mass),
        })),
      });
    }
    return found;
  }

  dispose(): void {
    for (const { probabilities } of this.#samples) probabilities.dispose();
    for (const { squares } of this.#layers.values()) squares?.dispose();
    this.#samples = [];
    this.#layers.clear();
  }

  #sumsOf(layer: number, heads: number): Sums {
    let sums = this.#layers.get(layer);
    if (!sums) {
      const mass = Array.from({ length: heads }, () => 0);
      sums = { squares: undefined, mass, massRows: 0, keys: 0, pseudoKeys: 0, rows: 0, isSparse: false };
      this.#layers.set(layer, sums);
    }
    return sums;
  }

  #add({ layer, shape, rows, window }: Sample, probabilities: Float32Array, mask: BlockMask | undefined): void {
    const sums = this.#sumsOf(layer, shape.heads);
    const { queries, keys, heads } = shape;
    sums.rows += queries;
    if (mask) {
      sums.isSparse = true;
      const { keysPerRow, pseudoKeysPerRow } = maskStatistics(mask);
      sums.keys += queries * keysPerRow.mean;
      sums.pseudoKeys += queries * pseudoKeysPerRow.mean;
    } else for (let row = 0; row < queries; row++) sums.keys += Math.min(window ?? Infinity, row + 1 + keys - queries);
    sums.massRows += rows.length;
    for (let head = 0; head < heads; head++) {
      for (const [i, row] of rows.entries()) {
        if (!mask) sums.mass[head]! += 1;
        else
          for (const key of attendedKeys(mask, shape, 0, head, row))
            sums.mass[head]! += probabilities[(head * rows.length + i) * keys + key]!;
      }
    }
  }
}
