// What the n-th best block of keys brings each head: dense attention's probability mass by small key blocks (docs/specification/hip.md §8.5).
import * as tf from '@tensorflow/tfjs';
import type { LayerContext } from '../model.ts';
import { probabilitiesOf } from './probabilities.ts';

/** What a search shares and leaves to every row. */
export interface CurveConfig {
  readonly blockQ: number;
  readonly blockK: number;
  readonly window: number;
  readonly sink: number;
}

/**
 * Mean probability mass of a row that its block of rows' best, second best … key block holds, one curve a head: [entries], not
 * increasing. Mass of sinks and of a row's own window is nobody's.
 */
export type MassCurve = Float64Array;

interface Pending {
  readonly layer: number;
  /** [H, blocks] */
  readonly mass: tf.Tensor2D;
}

/** Adds up curves of blocks of rows as a dense run computes them. Memory: one block of rows' probabilities, then its blocks' sums. */
export class MassCurves {
  readonly #config: CurveConfig;
  readonly #entries: number;
  readonly #layers = new Map<number, { readonly heads: MassCurve[]; blocks: number }>();
  #pending: Pending[] = [];

  /** @param entries best blocks of which a curve tells */
  constructor(config: CurveConfig, entries: number) {
    this.#config = config;
    this.#entries = entries;
  }

  /** Takes a call of the dense run: q [1, Tq, H, d], k [1, Tk, Hkv, d]; `starts` are first rows, in q, of blocks of rows. */
  record(q: tf.Tensor4D, k: tf.Tensor4D, context: LayerContext, starts: readonly number[]): void {
    for (const start of starts) {
      const mass = tf.tidy(() => tf.keep(this.#massOf(q, k, context, start)));
      this.#pending.push({ layer: context.layer, mass });
    }
  }

  /** After a pass: reads back what waits. */
  async settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    for (const { layer, mass } of pending) {
      const [heads, blocks] = mass.shape;
      const values = (await mass.data()) as Float32Array;
      mass.dispose();
      const sums = this.#sumsOf(layer, heads);
      sums.blocks++;
      for (const [head, curve] of sums.heads.entries()) {
        const sorted = values.slice(head * blocks, (head + 1) * blocks).sort();
        for (let i = 0; i < Math.min(blocks, curve.length); i++) curve[i]! += sorted[blocks - 1 - i]!;
      }
    }
  }

  /** By layer, by head. */
  curves(): Map<number, readonly MassCurve[]> {
    return new Map(
      [...this.#layers]
        .sort(([a], [b]) => a - b)
        .map(([layer, { heads, blocks }]) => [layer, heads.map((curve) => curve.map((sum) => sum / blocks))]),
    );
  }

  dispose(): void {
    tf.dispose(this.#pending.map(({ mass }) => mass));
    this.#pending = [];
  }

  #sumsOf(layer: number, heads: number): { readonly heads: MassCurve[]; blocks: number } {
    let sums = this.#layers.get(layer);
    if (!sums) {
      sums = { heads: Array.from({ length: heads }, () => new Float64Array(this.#entries)), blocks: 0 };
      this.#layers.set(layer, sums);
    }
    return sums;
  }

  #massOf(q: tf.Tensor4D, k: tf.Tensor4D, context: LayerContext, start: number): tf.Tensor2D {
    const { blockQ, blockK, window, sink } = this.#config;
    const [, queries, heads] = q.shape;
    const keys = k.shape[1];
    const rows = Array.from({ length: blockQ }, (_, i) => start + i);
    const probabilities = probabilitiesOf(q, k, rows, context);
    const counted = new Float32Array(blockQ * keys);
    for (const [i, row] of rows.entries()) {
      const end = row + 1 + keys - queries - window;
      if (end > sink) counted.fill(1 / blockQ, i * keys + sink, i * keys + end);
    }
    const ofKeys = tf.sum(tf.mul(probabilities, tf.tensor3d(counted, [1, blockQ, keys])), 1);
    const below = Math.max(0, keys - sink);
    const blocks = Math.max(1, Math.ceil(below / blockK));
    const padded = tf.pad(tf.slice(ofKeys, [0, keys - below], [heads, below]), [
      [0, 0],
      [0, blocks * blockK - below],
    ]);
    return tf.sum(tf.reshape(padded, [heads, blocks, blockK]), 2);
  }
}
