// The one elastic transformer behind every family: what differs is in ModelConfig, how it shrinks is in the slots' axes.
import * as tf from '@tensorflow/tfjs';
import {
  headGroup,
  weightSlots,
  type CheckpointFiles,
  type GenerationDefaults,
  type ModelConfig,
  type WeightSlot,
} from '@hip/checkpoints';
import { layerWidth, slicedShape } from '../elastic/slice.ts';
import type { LayerWidth } from '../elastic/slice.ts';
import { createSpace, validateSubnet } from '../elastic/space.ts';
import type { ElasticSpace, SpaceChoices } from '../elastic/space.ts';
import { elementCount } from '../counts.ts';
import { SupernetError } from '../errors.ts';
import { activate, gatedActivation } from './activations.ts';
import { denseAttention } from './attention.ts';
import { passOver } from './cache-guard.ts';
import { requireComputable } from './computable.ts';
import { checkInputs } from './input-checks.ts';
import { embedInputs } from './inputs.ts';
import { applyHead, languageLogits } from './heads.ts';
import { linear } from './matmul.ts';
import { layerNorm, maskedLayerNorm, rmsNorm } from './norms.ts';
import { positionsOf } from './positions.ts';
import { RopeCache, applyRope } from './rope.ts';
import type { RopeTables } from './rope.ts';
import type { AttentionFunction, ElasticModel, ForwardOptions, ForwardOutput, KeyValueCache } from './types.ts';
import { guardMemory } from './wasm-memory.ts';
import type { ModelInputs } from './types.ts';

/** State of one forward pass. */
interface Pass {
  readonly options: ForwardOptions;
  readonly masked: boolean;
  readonly attention: AttentionFunction;
  readonly batch: number;
  readonly length: number;
  readonly mask: tf.Tensor2D | undefined;
  readonly rope: RopeTables | undefined;
  readonly append: KeyValueCache['append'] | undefined;
}

/** An elastic transformer on tfjs. Built by `loadCheckpoint`; {@link ElasticModel} is its public face. */
export class TransformerModel implements ElasticModel {
  readonly family: string;
  readonly config: ModelConfig;
  readonly space: ElasticSpace;
  readonly weights: ReadonlyMap<string, tf.Variable>;
  readonly slots: readonly WeightSlot[];
  readonly #slotByName: ReadonlyMap<string, WeightSlot>;
  readonly #rope: RopeCache | undefined;

  readonly source?: CheckpointFiles;
  readonly generation?: GenerationDefaults;

  /**
   * `values` are the weights by slot name, in slot shape; `choices` override the default elastic space.
   *
   * @throws SupernetError `missing-weight`, `invalid-subnet` (choices that the model does not have)
   */
  constructor(
    config: ModelConfig,
    values: ReadonlyMap<string, Float32Array>,
    choices: SpaceChoices = {},
    source?: CheckpointFiles,
    generation?: GenerationDefaults,
  ) {
    requireComputable(config);
    this.config = config;
    if (source) this.source = source;
    if (generation) this.generation = generation;
    this.family = config.family;
    this.space = modelSpace(config, choices);
    this.slots = weightSlots(config);
    this.#slotByName = new Map(this.slots.map((slot) => [slot.name, slot]));
    this.#rope = config.rope && new RopeCache(config.rope, config.headSize);
    const weights = new Map<string, tf.Variable>();
    for (const slot of this.slots) {
      const data = values.get(slot.name);
      const size = elementCount(slot.shape);
      if (data?.length !== size) {
        throw new SupernetError('missing-weight', `${slot.name} needs ${size} values, got ${data?.length ?? 'none'}`, {
          slot: slot.name,
        });
      }
      const initial = tf.tensor(data, [...slot.shape], 'float32');
      weights.set(slot.name, tf.variable(initial, true));
      initial.dispose();
    }
    this.weights = weights;
  }

  forward(inputs: ModelInputs, options: ForwardOptions = {}): ForwardOutput {
    if (options.subnet) validateSubnet(this.space, options.subnet);
    guardMemory();
    const { cache } = options;
    // tf.tidy keeps what is returned; optional members must not be there as undefined.
    const run = (append?: KeyValueCache['append']) =>
      tf.tidy(() => this.#run(inputs, options, append)) as ForwardOutput & tf.TensorContainerObject;
    if (!cache) return run();
    if (!this.config.causal) {
      throw new SupernetError('invalid-option', `a ${this.family} model is not causal: it takes no cache`);
    }
    return passOver(cache, () => inputs.inputIds?.shape[1] ?? 0, run);
  }

  languageLogits(hidden: tf.Tensor2D): tf.Tensor2D {
    const { head } = this.config;
    if (head !== 'causal-lm' && head !== 'masked-lm') {
      throw new SupernetError('unsupported-model', `a ${this.family} model with head ${head} has no language logits`, {
        head,
      });
    }
    return tf.tidy(() => languageLogits(this.config, (name) => this.#full(name), hidden));
  }

  dispose(): void {
    for (const variable of this.weights.values()) variable.dispose();
    this.#rope?.dispose();
  }

  #run(
    inputs: ModelInputs,
    options: ForwardOptions,
    append: KeyValueCache['append'] | undefined,
  ): ForwardOutput & tf.TensorContainerObject {
    const { config } = this;
    checkInputs(config, inputs, options.cache?.length ?? 0);
    const positions = config.patches ? undefined : positionsOf(config, inputs, options);
    const embedded = embedInputs(config, (name) => this.#full(name), inputs, positions);
    const { batch, length } = embedded;
    const pass: Pass = {
      options,
      masked: options.mode === 'masked' && options.subnet !== undefined,
      attention: options.attention ?? denseAttention,
      batch,
      length,
      mask: inputs.attentionMask,
      rope: positions && this.#rope?.at(positions, options.sequenceTokens),
      append,
    };
    const states: tf.Tensor2D[] = [this.#dropout(embedded.hidden, pass, 0)];
    let hidden = states[0] as tf.Tensor2D;
    const layers = options.subnet?.layers ?? config.layers;
    for (let layer = 0; layer < layers; layer++) {
      // Inside tf.tidy intermediate tensors would live until the end; each layer frees its own (gradients keep what they need).
      hidden = tf.tidy(() => this.#layer(hidden, layer, pass));
      if (options.hiddenStates) states.push(hidden);
    }
    const normed = config.finalNorm ? this.#norm(hidden, 'norm') : hidden;
    const logits = applyHead(config, (name) => this.#full(name), normed, {
      batch,
      length,
      inputs,
      logits: options.logits ?? 'all',
    });
    if (!options.hiddenStates) return { logits };
    if (config.normedLastHiddenState) states[states.length - 1] = normed;
    return {
      logits,
      hiddenStates: states.map((state) => tf.reshape(state, [batch, length, config.hiddenSize]) as tf.Tensor3D),
    };
  }

  #layer(x: tf.Tensor2D, layer: number, pass: Pass): tf.Tensor2D {
    const at = `layers.${layer}`;
    const width = layerWidth(this.config, layer, pass.options.subnet);
    if (this.config.norm.placement === 'post') {
      const attended = this.#dropout(this.#attention(x, layer, width, pass), pass, 2 * layer + 1);
      const middle = this.#norm(tf.add(attended, x), `${at}.attention.norm`);
      const fed = this.#dropout(this.#ffn(middle, layer, width, pass), pass, 2 * layer + 2);
      return this.#norm(tf.add(fed, middle), `${at}.ffn.norm`);
    }
    const attended = this.#attention(this.#norm(x, `${at}.attention.norm`), layer, width, pass);
    const middle: tf.Tensor2D = tf.add(x, this.#dropout(attended, pass, 2 * layer + 1));
    const fed = this.#ffn(this.#norm(middle, `${at}.ffn.norm`), layer, width, pass);
    return tf.add(middle, this.#dropout(fed, pass, 2 * layer + 2));
  }

  #attention(x: tf.Tensor2D, layer: number, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const { config } = this;
    const at = `layers.${layer}.attention`;
    const used = pass.masked ? layerWidth(config, layer, undefined) : width;
    const { batch, length } = pass;
    const kvHeads = used.heads / headGroup(config);
    const project = (name: string, heads: number): tf.Tensor4D =>
      tf.reshape(this.#linear(x, `${at}.${name}`, used), [batch, length, heads, config.headSize]);
    let q = project('query', used.heads);
    let k = project('key', kvHeads);
    let v = project('value', kvHeads);
    if (config.qkNorm) {
      q = this.#headNorm(q, `${at}.queryNorm.weight`);
      k = this.#headNorm(k, `${at}.keyNorm.weight`);
    }
    if (pass.rope) {
      q = applyRope(q, pass.rope);
      k = applyRope(k, pass.rope);
    }
    if (pass.append) ({ k, v } = pass.append(layer, k, v));
    const window = config.slidingWindows?.[layer];
    const attended = pass.attention(q, k, v, {
      layer,
      causal: config.causal,
      scale: config.attentionScale,
      queryOffset: k.shape[1] - length,
      rotation: pass.rope ? 'half-split' : 'other',
      ...(pass.mask && { mask: pass.mask }),
      ...(window && { window }),
      ...(pass.options.cache && { cache: pass.options.cache }),
    });
    let mixed: tf.Tensor2D = tf.reshape(attended, [batch * length, used.heads * config.headSize]);
    mixed = this.#mask(mixed, width.heads * config.headSize, pass);
    if (config.subNorm) mixed = this.#subNorm(mixed, `${at}.subNorm`, used, width.heads * config.headSize, pass);
    pass.options.observe?.(`${at}.output`, mixed);
    return this.#linear(mixed, `${at}.output`, used);
  }

  #ffn(x: tf.Tensor2D, layer: number, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const { config } = this;
    const at = `layers.${layer}.ffn`;
    const used = pass.masked ? layerWidth(config, layer, undefined) : width;
    const up = this.#linear(x, `${at}.up`, used);
    let active = config.gated
      ? gatedActivation(this.#linear(x, `${at}.gate`, used), up, config.activation)
      : activate(up, config.activation);
    active = this.#mask(active, width.ffn, pass);
    if (config.subNorm) active = this.#subNorm(active, `${at}.subNorm`, used, width.ffn, pass);
    pass.options.observe?.(`${at}.down`, active);
    return this.#linear(active, `${at}.down`, used);
  }

  /** Zeroes features at or beyond `kept` in masked mode. */
  #mask(x: tf.Tensor2D, kept: number, pass: Pass): tf.Tensor2D {
    return pass.masked && kept < x.shape[1] ? tf.mul(x, prefixMask(x.shape[1], kept)) : x;
  }

  #subNorm(x: tf.Tensor2D, name: string, used: LayerWidth, kept: number, pass: Pass): tf.Tensor2D {
    const [weight, bias] = [this.#weight(`${name}.weight`, used), this.#weight(`${name}.bias`, used)];
    const { epsilon } = this.config.norm;
    const [w, b] = [weight as tf.Tensor1D, bias as tf.Tensor1D];
    if (!pass.masked || kept === x.shape[1]) return layerNorm(x, w, b, epsilon);
    return maskedLayerNorm(x, w, b, epsilon, prefixMask(x.shape[1], kept), kept);
  }

  #linear(x: tf.Tensor2D, name: string, width: LayerWidth): tf.Tensor2D {
    const bias = this.#slotByName.has(`${name}.bias`) ? this.#weight(`${name}.bias`, width) : undefined;
    return linear(x, this.#weight(`${name}.weight`, width) as tf.Tensor2D, bias as tf.Tensor1D | undefined);
  }

  #norm(x: tf.Tensor2D, name: string): tf.Tensor2D {
    const weight = this.#full(`${name}.weight`) as tf.Tensor1D;
    const { kind, epsilon } = this.config.norm;
    if (kind === 'rms') return rmsNorm(x, weight, epsilon);
    return layerNorm(x, weight, this.#full(`${name}.bias`) as tf.Tensor1D, epsilon);
  }

  #headNorm(x: tf.Tensor4D, name: string): tf.Tensor4D {
    const [batch, length, heads, size] = x.shape;
    const flat: tf.Tensor2D = tf.reshape(x, [batch * length * heads, size]);
    return tf.reshape(rmsNorm(flat, this.#full(name) as tf.Tensor1D, this.config.norm.epsilon), x.shape);
  }

  #dropout(x: tf.Tensor2D, pass: Pass, salt: number): tf.Tensor2D {
    const rate = pass.options.training ? (pass.options.dropout ?? this.config.dropout) : 0;
    if (rate === 0) return x;
    return tf.dropout(x, rate, undefined, (pass.options.seed ?? 0) * 8191 + salt + 1) as tf.Tensor2D;
  }

  #full(name: string): tf.Tensor {
    const variable = this.weights.get(name);
    if (!variable) throw new SupernetError('internal', `${this.family} has no weight ${name}`, { name });
    return variable;
  }

  #weight(name: string, width: LayerWidth): tf.Tensor {
    const variable = this.#full(name);
    const slot = this.#slotByName.get(name) as WeightSlot;
    const target = slicedShape(this.config, slot, width);
    if (target.every((extent, axis) => extent === slot.shape[axis])) return variable;
    return tf.slice(
      variable,
      target.map(() => 0),
      target,
    );
  }
}

/** Elastic space of a configuration, with per-layer bounds where layers are unequal. */
export function modelSpace(config: ModelConfig, choices: SpaceChoices): ElasticSpace {
  const group = headGroup(config);
  const space = createSpace({ layers: config.layers, heads: config.heads, ffn: config.ffn, headGroup: group }, choices);
  return {
    ...space,
    ...(config.layerHeads && { maxHeads: config.layerHeads }),
    ...(config.layerFfn && { maxFfn: config.layerFfn }),
  };
}

function prefixMask(size: number, kept: number): tf.Tensor1D {
  return tf.tensor1d(new Float32Array(size).fill(1, 0, kept));
}
