// AdamW (Loshchilov & Hutter 2019) on tfjs variables: decoupled decay, bias correction, layer-wise learning rates, exact state.
import * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';
import { trainedSlots, trainedWeights } from '../../adapters/trained.ts';
import { elementCount } from '../../counts.ts';
import { SupernetError } from '../../errors.ts';
import { adamwOnHeap, isOwnOnHeap } from '../../model/host-arrays.ts';
import type { ElasticModel } from '../../model/types.ts';
import { adamwInPlace } from '../../webgpu/adamw.ts';
import type { AdamWLane } from '../../webgpu/adamw.ts';
import { isShared, onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { resolveAdamW } from './adamw-options.ts';
import type { AdamWOptions, AdamWSettings } from './adamw-options.ts';
import type { GradientSet } from './gradients.ts';
import { packsOf, variableOf } from './moments.ts';
import type { MomentArrays, MomentPack, Moments } from './moments.ts';

/** What a gradient and its square are multiplied by, and the clipping factor alone where it is known on the host. */
interface GradientFactors {
  readonly first: tf.Tensor;
  readonly second: tf.Tensor;
  readonly scale: number;
}

/**
 * AdamW over what is trained of an elastic model: its weights, or its adapters and its own head. A weight without a gradient in a step is left alone, its step count too.
 *
 * @example
 * ```ts
 * const optimizer = new AdamW(model, { weightDecay: 0.05 });
 * optimizer.apply(gradients, 3e-4);
 * optimizer.dispose();
 * ```
 */
export class AdamW {
  readonly #layers: number;
  readonly #slots: readonly WeightSlot[];
  readonly #weights: ReadonlyMap<string, tf.Variable>;
  readonly #options: AdamWSettings;
  readonly #moments = new Map<string, Moments>();
  #packs: readonly MomentPack[] = [];

  /** @throws SupernetError `invalid-option` */
  constructor(model: ElasticModel, options: AdamWOptions = {}) {
    this.#layers = model.config.layers;
    this.#slots = trainedSlots(model);
    this.#weights = trainedWeights(model);
    this.#options = resolveAdamW(options);
  }

  /**
   * One step. `scale` multiplies every gradient first (clipping), on the device. The gradients stay the caller's.
   *
   * @throws SupernetError `missing-weight` for a gradient of an unknown weight
   */
  apply(gradients: GradientSet, learningRate: number, scale?: tf.Scalar): void {
    const { beta1, beta2 } = this.#options;
    if (onWebGpu()) return this.#applyOnGpu(gradients, learningRate, scale);
    tf.tidy(() => {
      const factors: GradientFactors = {
        first: scale ? tf.mul(scale, 1 - beta1) : tf.scalar(1 - beta1),
        second: scale ? tf.mul(tf.square(scale), 1 - beta2) : tf.scalar(1 - beta2),
        // Free on wasm; where it would wait for a device, nobody asks.
        scale: tf.getBackend() === 'wasm' ? ((scale?.dataSync()[0] as number | undefined) ?? 1) : 1,
      };
      for (const slot of this.#slots) {
        const gradient = gradients.get(slot.name);
        // A tidy per weight: temporaries are freed at once instead of all together.
        if (gradient) tf.tidy(() => this.#update(slot, gradient, learningRate, factors));
      }
    });
  }

  #update(
    slot: WeightSlot,
    gradient: tf.Tensor,
    learningRate: number,
    { first, second, scale }: GradientFactors,
  ): void {
    const { beta1, beta2 } = this.#options;
    const weight = this.#weight(slot.name);
    const moments = this.#momentsOf(slot);
    const { first: m, second: v } = moments;
    moments.steps++;
    const [correction, floor] = this.#corrections(moments.steps);
    const rate = learningRate * this.#layerFactor(slot);
    const decay = 1 - rate * this.#decayOf(slot);
    if (isOwnOnHeap(m, v, gradient)) {
      const numbers = { beta1, beta2, scale, rate: rate * correction, floor, keep: decay };
      adamwOnHeap({ weight, first: m, second: v, gradient }, numbers);
      return;
    }
    m.assign(tf.add(tf.mul(m, beta1), tf.mul(gradient, first)));
    v.assign(tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), second)));
    const step = tf.mul(tf.div(m, tf.add(tf.sqrt(v), floor)), rate * correction);
    weight.assign(tf.sub(decay === 1 ? weight : tf.mul(weight, decay), step));
  }

  #applyOnGpu(gradients: GradientSet, learningRate: number, scale?: tf.Scalar): void {
    if (this.#packs.length === 0) this.#packs = packsOf(this.#slots, new Map());
    // Weights that were trained equally often share their numbers.
    const places = new Map<number, number>();
    const values: number[] = [];
    const updates = this.#packs.map(({ slots, steps, moments }) => {
      const group = slots.map((slot, lane): AdamWLane => {
        const own = { weight: this.#unshared(slot.name), factor: this.#layerFactor(slot), decay: this.#decayOf(slot) };
        const gradient = gradients.get(slot.name);
        if (!gradient) return { ...own, at: -1 };
        const count = (steps[lane] as number) + 1;
        steps[lane] = count;
        const at = places.get(count) ?? 1 + values.length;
        if (!places.has(count)) values.push(learningRate, ...this.#corrections(count));
        places.set(count, at);
        return { ...own, gradient, at };
      });
      return { group, moments };
    });
    tf.tidy(() => {
      const numbers = scale ? tf.concat([tf.reshape(scale, [1]), tf.tensor1d(values)]) : tf.tensor1d([1, ...values]);
      for (const { group, moments } of updates) adamwInPlace(group, moments, numbers, this.#options);
    });
  }

  /** A weight that no other tensor reads the memory of: it is changed in place. */
  #unshared(name: string): tf.Variable {
    const weight = this.#weight(name);
    if (isShared(weight)) tf.tidy(() => weight.assign(tf.mul(weight, 1)));
    return weight;
  }

  /** √c₂/c₁ and ε·√c₂: both bias corrections of lr·m̂/(√v̂ + ε) folded into lr·√c₂/c₁ · m/(√v + ε·√c₂). */
  #corrections(steps: number): [number, number] {
    const { beta1, beta2, epsilon } = this.#options;
    const c1 = 1 - beta1 ** steps;
    const c2 = Math.sqrt(1 - beta2 ** steps);
    return [c2 / c1, epsilon * c2];
  }

  #decayOf(slot: WeightSlot): number {
    return this.#options.decays(slot) ? this.#options.weightDecay : 0;
  }

  /** Moments of every weight that has had a step, by weight name. */
  async state(): Promise<Map<string, MomentArrays>> {
    const state = new Map<string, MomentArrays>();
    for (const [name, { first, second, steps }] of this.#moments) {
      const [m, v] = (await Promise.all([first.data(), second.data()])) as [Float32Array, Float32Array];
      state.set(name, { first: m, second: v, steps });
    }
    for (const { slots, moments, steps } of this.#packs) {
      const data = (await moments.data()) as Float32Array;
      let start = 0;
      for (const [lane, slot] of slots.entries()) {
        const end = start + elementCount(slot.shape);
        const second = data.length / 2;
        const arrays = { first: data.slice(start, end), second: data.slice(second + start, second + end) };
        if (steps[lane]) state.set(slot.name, { ...arrays, steps: steps[lane] });
        start = end;
      }
    }
    return state;
  }

  /** Replaces all state. @throws SupernetError `invalid-checkpoint` when it does not fit the model */
  restore(state: ReadonlyMap<string, MomentArrays>): void {
    const slots = new Map(this.#slots.map((slot) => [slot.name, slot]));
    for (const [name, { first, second }] of state) {
      const slot = slots.get(name);
      const size = slot && elementCount(slot.shape);
      if (size === undefined || first.length !== size || second.length !== size) {
        throw new SupernetError('invalid-checkpoint', `optimiser state of ${name} does not fit this model`, {
          name,
          expected: size,
          actual: first.length,
        });
      }
    }
    this.dispose();
    if (onWebGpu()) {
      this.#packs = packsOf(this.#slots, state);
      return;
    }
    for (const [name, { first, second, steps }] of state) {
      const { shape } = slots.get(name) as WeightSlot;
      this.#moments.set(name, { first: variableOf(first, shape), second: variableOf(second, shape), steps });
    }
  }

  /** Frees the moments; the optimiser starts anew when used again. */
  dispose(): void {
    for (const { first, second } of this.#moments.values()) tf.dispose([first, second]);
    for (const { moments } of this.#packs) moments.dispose();
    this.#moments.clear();
    this.#packs = [];
  }

  #weight(name: string): tf.Variable {
    const weight = this.#weights.get(name);
    if (!weight) throw new SupernetError('missing-weight', `the model trains no weight ${name}`, { name });
    return weight;
  }

  #momentsOf(slot: WeightSlot): Moments {
    let moments = this.#moments.get(slot.name);
    if (!moments) {
      const zeros = new Float32Array(elementCount(slot.shape));
      moments = { first: variableOf(zeros, slot.shape), second: variableOf(zeros, slot.shape), steps: 0 };
      this.#moments.set(slot.name, moments);
    }
    return moments;
  }

  #layerFactor(slot: WeightSlot): number {
    const { layerDecay } = this.#options;
    if (layerDecay === 1) return 1;
    if (slot.layer !== undefined) return layerDecay ** (this.#layers - slot.layer);
    return slot.name.startsWith('embeddings.') ? layerDecay ** (this.#layers + 1) : 1;
  }
}
