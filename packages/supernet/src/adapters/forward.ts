// An adapter in a forward pass: what it adds to a product, sliced or masked as the product is.
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig, WeightSlot } from '@hip/checkpoints';
import { sliceTensor, type LayerWidth } from '../elastic/slice.ts';
import { matMul } from '../model/matmul.ts';
import type { Pass } from '../model/pass.ts';
import { adapterNames, keptOfAdapter, productRank } from './slots.ts';
import type { AdaptedProduct, Adapters } from './types.ts';

/** The adapters of a network as its layers use them. */
export class AdapterPass {
  readonly #config: ModelConfig;
  readonly #slots: ReadonlyMap<string, WeightSlot>;
  readonly #adapters: Adapters;
  readonly #products: ReadonlyMap<string, AdaptedProduct>;

  /** @param slots those of the base, by name */
  constructor(config: ModelConfig, slots: ReadonlyMap<string, WeightSlot>, adapters: Adapters) {
    this.#config = config;
    this.#slots = slots;
    this.#adapters = adapters;
    this.#products = new Map(adapters.products.map((product) => [product.name, product]));
  }

  /** y [N, out] of a product of x [N, in], and what its adapter adds to it, if it has one. */
  apply(y: tf.Tensor2D, x: tf.Tensor2D, name: string, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const product = this.#products.get(name);
    const rank = product ? productRank(product, pass.options.subnet) : 0;
    if (!product || rank === 0) return y;
    const { a, b } = adapterNames(name);
    const weight = this.#slots.get(`${name}.weight`) as WeightSlot;
    const kept = keptOfAdapter(this.#config, weight, width, product, pass.masked ? product.rank : rank);
    const inner = matMul(x, sliceTensor(this.#weight(a), kept.a) as tf.Tensor2D);
    const isCut = pass.masked && rank < product.rank;
    const factor = isCut ? tf.tensor1d(new Float32Array(product.rank).fill(product.scale, 0, rank)) : product.scale;
    return tf.add(y, matMul(tf.mul(inner, factor), sliceTensor(this.#weight(b), kept.b) as tf.Tensor2D));
  }

  #weight(name: string): tf.Variable {
    return this.#adapters.weights.get(name) as tf.Variable;
  }
}
