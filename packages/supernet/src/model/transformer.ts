// The one elastic transformer behind every family: what differs is in ModelConfig, how it shrinks is in the slots' axes.
import * as tf from '@tensorflow/tfjs';
import {
  headGroup,
  languageName,
  layerWindow,
  weightSlots,
  type CheckpointFiles,
  type GenerationDefaults,
  type ModelConfig,
  type RelativeAttention,
  type WeightSlot,
} from '@hip/checkpoints';
import { subnetBounds } from '../elastic/cost.ts';
import { isWhole, keptAxes, keptCount, keptMask, keptOf, layerWidth, sliceTensor } from '../elastic/slice.ts';
import type { KeptAxis, LayerWidth } from '../elastic/slice.ts';
import { createSpace, validateSubnet } from '../elastic/space.ts';
import type { ElasticSpace, SpaceChoices } from '../elastic/space.ts';
import { elementCount } from '../counts.ts';
import { SupernetError } from '../errors.ts';
import { activate, gatedActivation } from './activations.ts';
import { denseAttention } from './attention.ts';
import { dropOut, dropoutRates } from './dropout.ts';
import type { DropoutRates } from './dropout.ts';
import { passOver } from './cache-guard.ts';
import { requireComputable } from './computable.ts';
import { checkInputs } from './input-checks.ts';
import { embedInputs } from './inputs.ts';
import { applyHead, languageLogits, retrievalEmbedding, retrievalLogits } from './heads.ts';
import { linear } from './matmul.ts';
import { layerNorm, maskedLayerNorm, rmsNorm } from './norms.ts';
import { positionsOf, textConfig } from './positions.ts';
import { relativePlaces, relativeRows, relativeScores } from './relative.ts';
import { RopeCache, applyRope } from './rope.ts';
import type { RopeTables } from './rope.ts';
import { createStream } from './stream.ts';
import type { Stream } from './stream.ts';
import type { AttentionFunction, ElasticModel, ForwardOptions, ForwardOutput, KeyValueCache } from './types.ts';
import { guardMemory } from './wasm-memory.ts';
import { SEED_STEP } from '../webgpu/dropout.ts';
import type { ModelInputs } from './types.ts';

/** State of one forward pass. */
interface Pass {
  readonly options: ForwardOptions;
  readonly masked: boolean;
  readonly stream: Stream;
  readonly attention: AttentionFunction;
  readonly batch: number;
  readonly length: number;
  readonly mask: tf.Tensor2D | undefined;
  /** Tokens of images in front of those of texts, in a multiway model. */
  readonly split: number | undefined;
  readonly rope: RopeTables | undefined;
  /** Rotation of layers with a window. */
  readonly ropeLocal: RopeTables | undefined;
  readonly relative: RelativePass | undefined;
  readonly append: KeyValueCache['append'] | undefined;
}

/** Relative positions of one pass. */
interface RelativePass {
  /** The rows that its tokens look at [R, D]. */
  readonly table: tf.Tensor2D;
  readonly places: { readonly ofQueries: tf.Tensor1D; readonly ofKeys: tf.Tensor1D };
}

/** What a pass leaves before the head. */
interface Encoded {
  /** [B·T, D], after the final norm. */
  readonly hidden: tf.Tensor2D;
  readonly states: readonly tf.Tensor2D[];
  readonly batch: number;
  readonly length: number;
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
  readonly #ropeLocal: RopeCache | undefined;

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
    this.#ropeLocal = config.ropeLocal && new RopeCache(config.ropeLocal, config.headSize);
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
    return tf.tidy(() => languageLogits(this.config, this.#stream(hidden.shape[1], false), hidden));
  }

  dispose(): void {
    for (const variable of this.weights.values()) variable.dispose();
    this.#rope?.dispose();
    this.#ropeLocal?.dispose();
  }

  #run(
    inputs: ModelInputs,
    options: ForwardOptions,
    append: KeyValueCache['append'] | undefined,
  ): ForwardOutput & tf.TensorContainerObject {
    const { config } = this;
    checkInputs(config, inputs, options.cache?.length ?? 0);
    if (config.head === 'image-text-retrieval') return this.#compare(inputs, options);
    const stream = this.#streamOf(options);
    const { hidden, states, batch, length } = this.#encode(inputs, options, stream, append);
    const logits = applyHead(config, stream, hidden, {
      batch,
      length,
      inputs,
      logits: options.logits ?? 'all',
      drop: (x) => this.#dropout(x, options, 'classifier', 0),
    });
    return { logits, ...this.#hiddenStates(states, batch, length, options) };
  }

  /** Images and texts each by themselves; given both, how like each other they are. */
  #compare(inputs: ModelInputs, options: ForwardOptions): ForwardOutput & tf.TensorContainerObject {
    const { pixelValues, inputIds, attentionMask, positionIds } = inputs;
    const stream = this.#streamOf(options);
    const embeddingOf = (given: ModelInputs, kind: 'image' | 'text') => {
      const { hidden, states, batch, length } = this.#encode(given, options, stream, undefined);
      const context = { batch, length, inputs: given, logits: 'all' as const };
      const embedding = retrievalEmbedding(stream, hidden, context, kind);
      return { embedding, states: this.#hiddenStates(states, batch, length, options) };
    };
    const image = pixelValues && embeddingOf({ pixelValues }, 'image');
    const ofText = {
      ...(inputIds && { inputIds }),
      ...(attentionMask && { attentionMask }),
      ...(positionIds && { positionIds }),
    };
    const text = inputIds && embeddingOf(ofText, 'text');
    const embeddings = {
      ...(image && { imageEmbeddings: image.embedding }),
      ...(text && { textEmbeddings: text.embedding }),
    };
    if (image && text) return { logits: retrievalLogits(stream, image.embedding, text.embedding), ...embeddings };
    const one = (image ?? text) as NonNullable<typeof image>;
    return { logits: one.embedding, ...embeddings, ...one.states };
  }

  #hiddenStates(
    states: readonly tf.Tensor2D[],
    batch: number,
    length: number,
    options: ForwardOptions,
  ): { hiddenStates?: tf.Tensor3D[] } {
    if (!options.hiddenStates) return {};
    return { hiddenStates: states.map((state) => tf.reshape(state, [batch, length, state.shape[1]]) as tf.Tensor3D) };
  }

  #encode(
    inputs: ModelInputs,
    options: ForwardOptions,
    stream: Stream,
    append: KeyValueCache['append'] | undefined,
  ): Encoded {
    const { config } = this;
    const isText = inputs.inputIds !== undefined && (config.multiway || !config.patches);
    const positions = isText ? positionsOf(textConfig(config), inputs, options) : undefined;
    const embedded = embedInputs(config, stream, inputs, positions);
    if (config.embeddingNorm) options.observeNorm?.('embeddings.norm', embedded.hidden);
    const { batch, length, split } = embedded;
    const attention = options.attention ?? denseAttention;
    if (config.relativeAttention && attention !== denseAttention) {
      const message = `a ${this.family} model adds relative positions to its scores: leave attention out, which is dense then`;
      throw new SupernetError('invalid-option', message, { family: this.family });
    }
    if (this.#rate(options, 'attention') > 0 && attention !== denseAttention) {
      const message = "drop-out of attention is dense attention's: leave attention out, or dropout.attention";
      throw new SupernetError('invalid-option', message, { dropout: this.#rate(options, 'attention') });
    }
    const pass: Pass = {
      options,
      masked: isMasked(options),
      stream,
      attention,
      batch,
      length,
      mask: inputs.attentionMask && this.#keyMask(inputs.attentionMask, batch, length),
      split,
      rope: positions && this.#rope?.at(positions, options.sequenceTokens),
      ropeLocal: positions && this.#ropeLocal?.at(positions, options.sequenceTokens),
      relative: config.relativeAttention && this.#relative(config.relativeAttention, length, stream),
      append,
    };
    const states: tf.Tensor2D[] = [this.#dropout(embedded.hidden, options, 'hidden', 0)];
    let hidden = states[0] as tf.Tensor2D;
    const layers = options.subnet?.layers ?? config.layers;
    for (let layer = 0; layer < layers; layer++) {
      // Inside tf.tidy intermediate tensors would live until the end; each layer frees its own (gradients keep what they need).
      hidden = tf.tidy(() => this.#layer(hidden, layer, pass));
      if (options.hiddenStates) states.push(hidden);
    }
    const normed = config.finalNorm ? this.#norm(hidden, 'norm', pass) : hidden;
    if (config.normedLastHiddenState) states[states.length - 1] = normed;
    return { hidden: normed, states, batch, length };
  }

  /** Which keys of a pass are real: all tokens of images in front of a text are. */
  #keyMask(mask: tf.Tensor2D, batch: number, length: number): tf.Tensor2D {
    const images = length - mask.shape[1];
    if (!this.config.multiway || images <= 0) return mask;
    return tf.concat([tf.ones([batch, images], 'int32'), tf.cast(mask, 'int32')], 1) as tf.Tensor2D;
  }

  #relative(relative: RelativeAttention, length: number, stream: Stream): RelativePass {
    const rows = relativeRows(relative, length);
    const used = stream.lookUp('relative.weight', (weight) =>
      tf.slice2d(weight, [rows.first, 0], [rows.count, weight.shape[1]]),
    );
    const table = relative.norm ? stream.norm(used, 'relative.norm', 'layer') : stream.mask(used);
    return { table, places: relativePlaces(rows, length) };
  }

  /** What relative positions add to the products of queries and keys. */
  #relativeBias(q: tf.Tensor4D, k: tf.Tensor4D, at: string, used: LayerWidth, pass: Pass): tf.Tensor4D | undefined {
    const { relativeAttention } = this.config;
    if (!pass.relative || !relativeAttention) return undefined;
    const { contentToPosition, positionToContent, sharedProjections } = relativeAttention;
    const { table, places } = pass.relative;
    const project = (own: string, shared: string) =>
      this.#linear(table, `${at}.${sharedProjections ? shared : own}`, used);
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

  #layer(x: tf.Tensor2D, layer: number, pass: Pass): tf.Tensor2D {
    const width = layerWidth(this.config, layer, pass.options.subnet);
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
      return this.#dropout(pass.stream.mask(output), pass.options, 'hidden', salt);
    };
    const isPost = this.config.norm.placement === 'post';
    const isNormed = !isPost && !(this.config.skipsFirstNorm && layer === 0 && kind === 'attention');
    const stream: tf.Tensor2D = tf.add(x, run(isNormed ? this.#norm(x, norm, pass) : x));
    pass.options.observeBlock?.(`layers.${layer}.${kind}`, stream);
    return isPost ? this.#norm(stream, norm, pass) : stream;
  }

  #attention(x: tf.Tensor2D, layer: number, width: LayerWidth, pass: Pass): tf.Tensor2D {
    const { config } = this;
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
    const rate = this.#rate(pass.options, 'attention');
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
    const { config } = this;
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
    const { config } = this;
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
      const { epsilon } = this.config.norm;
      const [w, b] = [weight as tf.Tensor1D, bias as tf.Tensor1D];
      if (!pass.masked || isWhole(kept)) return layerNorm(rows, w, b, epsilon);
      return maskedLayerNorm(rows, w, b, epsilon, tf.tensor1d(keptMask(kept)), keptCount(kept));
    });
  }

  /** The product with a weight; without a pass of what is no token of either branch. */
  #linear(
    x: tf.Tensor2D,
    name: string,
    width: LayerWidth,
    pass?: Pass,
    observe?: ForwardOptions['observe'],
  ): tf.Tensor2D {
    const step = (rows: tf.Tensor2D, own: string): tf.Tensor2D => {
      observe?.(own, rows);
      const bias = this.#slotByName.has(`${own}.bias`) ? this.#weight(`${own}.bias`, width) : undefined;
      return linear(rows, this.#weight(`${own}.weight`, width) as tf.Tensor2D, bias as tf.Tensor1D | undefined);
    };
    return pass ? this.#byBranch(x, name, pass, step) : step(x, name);
  }

  #norm(x: tf.Tensor2D, name: string, pass: Pass): tf.Tensor2D {
    return this.#byBranch(x, name, pass, (rows, own) => {
      const normed = pass.stream.norm(rows, own);
      pass.options.observeNorm?.(own, normed);
      return normed;
    });
  }

  #streamOf(options: ForwardOptions): Stream {
    return this.#stream(options.subnet?.hidden ?? this.config.hiddenSize, isMasked(options));
  }

  #stream(hidden: number, masked: boolean): Stream {
    return createStream({ config: this.config, weights: this.weights, slots: this.#slotByName }, hidden, masked);
  }

  #headNorm(x: tf.Tensor4D, name: string): tf.Tensor4D {
    const [batch, length, heads, size] = x.shape;
    const flat: tf.Tensor2D = tf.reshape(x, [batch * length * heads, size]);
    return tf.reshape(rmsNorm(flat, this.#full(name) as tf.Tensor1D, this.config.norm.epsilon), x.shape);
  }

  #dropout(x: tf.Tensor2D, options: ForwardOptions, place: keyof DropoutRates, salt: number): tf.Tensor2D {
    const rate = this.#rate(options, place);
    return rate === 0 ? x : dropOut(x, rate, dropoutSeed(options, place, salt));
  }

  #rate({ training, dropout }: ForwardOptions, place: keyof DropoutRates): number {
    return training ? dropoutRates(dropout ?? this.config.dropout)[place] : 0;
  }

  #full(name: string): tf.Tensor {
    const variable = this.weights.get(name);
    if (!variable) throw new SupernetError('internal', `${this.family} has no weight ${name}`, { name });
    return variable;
  }

  #weight(name: string, width: LayerWidth): tf.Tensor {
    return sliceTensor(this.#full(name), keptAxes(this.config, this.#slotByName.get(name) as WeightSlot, width));
  }
}

/** Where the seeds of each place begin: no two masks of a pass share one. */
const PLACES = { hidden: 1, attention: 4001, classifier: 8001 } as const;

function dropoutSeed({ seed = 0 }: ForwardOptions, place: keyof DropoutRates, salt: number): number {
  return seed * SEED_STEP + PLACES[place] + salt;
}

function isMasked({ mode, subnet }: ForwardOptions): boolean {
  return mode === 'masked' && subnet !== undefined;
}

/** Elastic space of a configuration, with per-layer bounds where layers are unequal. */
export function modelSpace(config: ModelConfig, choices: SpaceChoices): ElasticSpace {
  const { layers, heads, ffn, hiddenSize: hidden } = config;
  const space = createSpace({ layers, heads, ffn, hidden, headGroup: headGroup(config) }, choices);
  return { ...space, ...subnetBounds(config) };
}
