// One forward pass through the layers: attention and FFN blocks of a sub-network, sliced or masked, of both branches.
import * as tf from '@tensorflow/tfjs';
import { languageName, layerWindow, type ModelConfig, type RelativeAttention, type WeightSlot } from '@hip/checkpoints';
import { AdapterPass } from '../adapters/forward.ts';
import type { Adapters } from '../adapters/types.ts';
import { isWhole, keptAxes, keptCount, keptMask, keptOf, layerWidth, sliceTensor } from '../elastic/slice.ts';
import type { KeptAxis, LayerWidth } from '../elastic/slice.ts';
import { SupernetError } from '../errors.ts';
import { activate, gatedActivation } from './activations.ts';
import { linear } from './matmul.ts';
import { layerNorm, maskedLayerNorm, rmsNorm } from './norms.ts';
import { relativePlaces, relativeRows, relativeScores } from './relative.ts';
import { applyRope } from './rope.ts';
import { dropoutRate, dropoutSeed, passDropout } from './pass-dropout.ts';
import type { Pass, RelativePass } from './pass.ts';
import type { Stream } from './stream.ts';
import type { ForwardOptions } from './types.ts';

/** What its layers are made of: a configuration and its weights, by slot name. */
export interface LayerWeights {
  readonly config: ModelConfig;
  readonly weights: ReadonlyMap<string, tf.Variable>;
  readonly slots: ReadonlyMap<string, WeightSlot>;
  readonly adapters?: Adapters | undefined;
}

/** The layers of a {@link TransformerModel}. */
export class Layers {
  readonly #weights: LayerWeights;
  readonly #adapters: AdapterPass | undefined;

  constructor(weights: LayerWeights) {
    this.#weights = weights;
    const { config, slots, adapters } = weights;
    this.#adapters = adapters && new AdapterPass(config, slots, adapters);
  }

  relative(relative: RelativeAttention, length: number, stream: Stream): RelativePass {
    const rows = relativeRows(relative, length);
    const used = stream.lookUp('relative.weight', (weight) =>
      tf.slice2d(weight, [rows.first, 0], [rows.count, weight.shape[1]]),
    );
    const table = relative.norm ? stream.norm(used, 'relative.norm', 'layer') : stream.mask(used);
    return { table, places: relativePlaces(rows, length) };
  }

  /** What relative positions add to the products of queries and keys. */
  #relativeBias(q: tf.Tensor4D, k: tf.Tensor4D, at: string, used: LayerWidth, pass: Pass): tf.Tensor4D | undefined {
    const { relativeAttention } = this.#weights.config;
    if (!pass.relative || !relativeAttention) return undefined;
    const { contentToPosition, positionToContent, sharedProjections } = relativeAttention;
    const { table, places } = pass.relative;
    const project = (own: string, shared: string) =>
      this.#product(table, `${at}.${sharedProjections ? shared : own}`, used, pass);
    const ofQueries = contentToPosition && relativeScores(q, project('positionKey', 'key'), places.ofQueries);
    const ofKeys = positionToContent && relativeScores(k, project('positionQuery', 'query'), places.ofKeys);
    return ofQueries && ofKeys ? tf.add(ofQueries, ofKeys) : ofQueries || ofKeys || undefined;
  }

  /** Runs a step on the tokens of images and on those of texts, each with its own weights. */
  #byBranch(
    x: tf.Tensor2D,
    name: string,
    { split, batch, length }: Pass,
    step: (x: tf.Tensor2D, name: string) => tf.Tensor2D,
  ): tf.Tensor2D {
    if (split === undefined || split === length) return step(x, name);
    if (split === 0) return step(x, languageName(name));
    const sequence = tf.reshape(x, [batch, length, x.shape[1]]);
    const part = (from: number, count: number, own: string) => {
      const cut = tf.slice(sequence, [0, from, 0], [batch, count, x.shape[1]]);
      const done = step(tf.reshape(cut, [batch * count, x.shape[1]]), own);
      return tf.reshape(done, [batch, count, done.shape[1]]);
    };
    const both = tf.concat([part(0, split, name), part(split, length - split, languageName(name))], 1);
    return tf.reshape(both, [batch * length, -1]);
  }

  layer(x: tf.Tensor2D, layer: number, pass: Pass): tf.Tensor2D {
    const width = layerWidth(this.#weights.config, layer, pass.options.subnet);
    const attended = width.heads > 0 ? this.#block('attention', x, layer, width, pass) : x;
    return width.ffn > 0 ? this.#block('ffn', attended, layer, width, pass) : attended;
  }

  /** Attention or FFN with its norm and the residual around it. */
  #block(kind: 'attention' | 'ffn', x: tf.Tensor2D, layer: number, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const norm = `layers.${layer}.${kind}.norm`;
    const salt = 2 * layer + (kind === 'attention' ? 1 : 2);
    const run = (input: tf.Tensor2D): tf.Tensor2D => {
      const isAttention = kind === 'attention';
      const output = isAttention ? this.#attention(input, layer, width, pass) : this.#ffn(input, layer, width, pass);
      return passDropout(this.#weights.config, pass.stream.mask(output), pass.options, 'hidden', salt);
    };
    const isPost = this.#weights.config.norm.placement === 'post';
    const isNormed = !isPost && !(this.#weights.config.skipsFirstNorm && layer === 0 && kind === 'attention');
    const stream: tf.Tensor2D = tf.add(x, run(isNormed ? this.norm(x, norm, pass) : x));
    pass.options.observeBlock?.(`layers.${layer}.${kind}`, stream);
    return isPost ? this.norm(stream, norm, pass) : stream;
  }

  #attention(x: tf.Tensor2D, layer: number, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const { config } = this.#weights;
    const at = `layers.${layer}.attention`;
    const used = pass.masked ? layerWidth(config, layer, undefined) : width;
    const { batch, length } = pass;
    const { kvHeads } = used;
    const project = (name: string, heads: number): tf.Tensor4D =>
      tf.reshape(this.#linear(x, `${at}.${name}`, used, pass), [batch, length, heads, config.headSize]);
    let q = project('query', used.heads);
    let k = project('key', kvHeads);
    let v = project('value', kvHeads);
    if (config.qkNorm) {
      q = this.#headNorm(q, `${at}.queryNorm.weight`);
      k = this.#headNorm(k, `${at}.keyNorm.weight`);
    }
    const window = layerWindow(config, layer);
    const rope = window > 0 ? (pass.ropeLocal ?? pass.rope) : pass.rope;
    if (rope) {
      q = applyRope(q, rope);
      k = applyRope(k, rope);
    }
    const bias = this.#relativeBias(q, k, at, used, pass);
    const rate = dropoutRate(config, pass.options, 'attention');
    if (pass.append) ({ k, v } = pass.append(layer, k, v));
    const attended = pass.attention(q, k, v, {
      layer,
      causal: config.causal,
      scale: config.attentionScale,
      queryOffset: k.shape[1] - length,
      rotation: rope ? 'half-split' : 'other',
      ...(pass.mask && { mask: pass.mask }),
      ...(window > 0 && { window }),
      ...(bias && { bias }),
      ...(rate > 0 && { dropout: { rate, seed: dropoutSeed(pass.options, 'attention', layer) } }),
      ...(pass.options.cache && { cache: pass.options.cache }),
    });
    let mixed: tf.Tensor2D = tf.reshape(attended, [batch * length, used.heads * config.headSize]);
    const kept = this.#keptOf('query-heads', layer, width);
    mixed = this.#mask(mixed, kept, pass);
    if (config.subNorm) mixed = this.#subNorm(mixed, `${at}.subNorm`, used, kept, pass);
    return this.#linear(mixed, `${at}.output`, used, pass, pass.options.observe);
  }

  #ffn(x: tf.Tensor2D, layer: number, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const { config } = this.#weights;
    const at = `layers.${layer}.ffn`;
    const used = pass.masked ? layerWidth(config, layer, undefined) : width;
    const up = this.#linear(x, `${at}.up`, used, pass);
    let active = config.gated
      ? gatedActivation(this.#linear(x, `${at}.gate`, used, pass), up, config.activation)
      : activate(up, config.activation);
    const kept = this.#keptOf('ffn', layer, width);
    active = this.#mask(active, kept, pass);
    if (config.subNorm) active = this.#subNorm(active, `${at}.subNorm`, used, kept, pass);
    return this.#linear(active, `${at}.down`, used, pass, pass.options.observe);
  }

  /** What is kept of the heads' or units' features of a layer of the full model. */
  #keptOf(axis: 'query-heads' | 'ffn', layer: number, width: LayerWidth): KeptAxis {
    const { config } = this.#weights;
    const full = layerWidth(config, layer, undefined);
    return keptOf(config, axis, axis === 'ffn' ? full.ffn : full.heads * config.headSize, width, layer);
  }

  /** Zeroes features that are not kept in masked mode. */
  #mask(x: tf.Tensor2D, kept: KeptAxis, pass: Pass): tf.Tensor2D {
    return pass.masked && !isWhole(kept) ? tf.mul(x, tf.tensor1d(keptMask(kept))) : x;
  }

  #subNorm(x: tf.Tensor2D, name: string, used: LayerWidth, kept: KeptAxis, pass: Pass): tf.Tensor2D {
    return this.#byBranch(x, name, pass, (rows, own) => {
      const [weight, bias] = [this.#weight(`${own}.weight`, used), this.#weight(`${own}.bias`, used)];
      const { epsilon } = this.#weights.config.norm;
      const [w, b] = [weight as tf.Tensor1D, bias as tf.Tensor1D];
      if (!pass.masked || isWhole(kept)) return layerNorm(rows, w, b, epsilon);
      return maskedLayerNorm(rows, w, b, epsilon, tf.tensor1d(keptMask(kept)), keptCount(kept));
    });
  }

  /** The product of tokens with the weight of each one's branch. */
  #linear(
    x: tf.Tensor2D,
    name: string,
    width: LayerWidth,
    pass: Pass,
    observe?: ForwardOptions['observe'],
  ): tf.Tensor2D {
    return this.#byBranch(x, name, pass, (rows, own) => {
      observe?.(own, rows);
      return this.#product(rows, own, width, pass);
    });
  }

  /** The product with a weight, and what its adapter adds. */
  #product(x: tf.Tensor2D, name: string, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const bias = this.#weights.slots.has(`${name}.bias`) ? this.#weight(`${name}.bias`, width) : undefined;
    const y = linear(x, this.#weight(`${name}.weight`, width) as tf.Tensor2D, bias as tf.Tensor1D | undefined);
    return this.#adapters?.apply(y, x, name, width, pass) ?? y;
  }

  norm(x: tf.Tensor2D, name: string, pass: Pass): tf.Tensor2D {
    return this.#byBranch(x, name, pass, (rows, own) => {
      const normed = pass.stream.norm(rows, own);
      pass.options.observeNorm?.(own, normed);
      return normed;
    });
  }

  #headNorm(x: tf.Tensor4D, name: string): tf.Tensor4D {
    const [batch, length, heads, size] = x.shape;
    const flat: tf.Tensor2D = tf.reshape(x, [batch * length * heads, size]);
    return tf.reshape(rmsNorm(flat, this.#full(name) as tf.Tensor1D, this.#weights.config.norm.epsilon), x.shape);
  }

  #full(name: string): tf.Tensor {
    const variable = this.#weights.weights.get(name);
    if (!variable)
      throw new SupernetError('internal', `${this.#weights.config.family} has no weight ${name}`, { name });
    return variable;
  }

  #weight(name: string, width: LayerWidth): tf.Tensor {
    return sliceTensor(
      this.#full(name),
      keptAxes(this.#weights.config, this.#weights.slots.get(name) as WeightSlot, width),
    );
  }
}
