// Activations that every step of an engine reuses: as many rows as pass through the layers at a time.
import type { ModelConfig, RopeConfig } from '@hip/checkpoints';
import type { Activation, CpuRuntime } from '@hip/kernels-cpu';
import type { LayerShape } from '../layers.ts';

/** Rows of logits that are in memory at a time. */
export const LOGIT_ROWS = 32;

/** Lengths in floats, by purpose: what {@link Scratch} allocates, for plans. */
export function scratchLengths(config: ModelConfig, layers: readonly LayerShape[], rows: number) {
  const widest = (of: (shape: LayerShape) => number) => rows * Math.max(...layers.map(of));
  return {
    /** The residual stream [rows, hidden]. */
    hidden: rows * config.hiddenSize,
    normed: rows * config.hiddenSize,
    query: widest(({ heads, headDim }) => heads * headDim),
    key: widest(({ kvHeads, headDim }) => kvHeads * headDim),
    value: widest(({ kvHeads, headDim }) => kvHeads * headDim),
    gate: config.gated ? widest(({ ffn }) => ffn) : 0,
    up: widest(({ ffn }) => ffn),
    logits: Math.min(rows, LOGIT_ROWS) * config.vocabSize,
  };
}

type Names = keyof ReturnType<typeof scratchLengths>;

/** Tables of one rotation: cos and sin [rows, pairs]. */
export interface RotationTables {
  readonly cos: Activation;
  readonly sin: Activation;
}

export class Scratch implements Disposable {
  readonly rows: number;
  readonly #activations = new Map<Names, Activation>();
  readonly #tables = new Map<RopeConfig, RotationTables>();

  /** @throws HipError `out-of-memory`; nothing is left behind */
  constructor(cpu: CpuRuntime, config: ModelConfig, layers: readonly LayerShape[], rows: number) {
    this.rows = rows;
    try {
      for (const [name, length] of Object.entries(scratchLengths(config, layers, rows))) {
        if (length > 0) this.#activations.set(name as Names, cpu.createActivation(length));
      }
      for (const { rope } of layers) {
        if (!rope || this.#tables.has(rope)) continue;
        const length = rows * rope.inverseFrequencies.length;
        const cos = cpu.createActivation(length);
        try {
          this.#tables.set(rope, { cos, sin: cpu.createActivation(length) });
        } catch (error) {
          cos.dispose();
          throw error;
        }
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  get(name: Names): Activation {
    return this.#activations.get(name) as Activation;
  }

  /** By rotation. */
  get tables(): ReadonlyMap<RopeConfig, RotationTables> {
    return this.#tables;
  }

  [Symbol.dispose](): void {
    for (const activation of this.#activations.values()) activation.dispose();
    for (const { cos, sin } of this.#tables.values()) {
      cos.dispose();
      sin.dispose();
    }
    this.#activations.clear();
    this.#tables.clear();
  }
}
