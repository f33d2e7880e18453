// The one elastic transformer behind every family: what differs is in ModelConfig, how it shrinks is in the slots' axes.
import * as tf from '@tensorflow/tfjs';
import {
  weightSlots,
  type CheckpointFiles,
  type GenerationDefaults,
  type ModelConfig,
  type WeightSlot,
} from '@hip/checkpoints';
import type { Adapters, OwnAdapters } from '../adapters/types.ts';
import { validateSubnet } from '../elastic/validate.ts';
import type { ElasticSpace, SpaceChoices } from '../elastic/types.ts';
import { SupernetError } from '../errors.ts';
import { attentionOf } from './attention/choice.ts';
import { passOver } from './cache-guard.ts';
import { requireComputable } from './computable.ts';
import { checkInputs } from './input-checks.ts';
import { embedInputs } from './inputs.ts';
import { applyHead, languageLogits, retrievalEmbedding, retrievalLogits } from './heads.ts';
import { positionsOf, textConfig } from './positions.ts';
import { checkRange, enteringOf } from './layer-range.ts';
import { keyMask } from './key-mask.ts';
import { Layers } from './layers.ts';
import { passDropout } from './pass-dropout.ts';
import { isMasked, type Pass } from './pass.ts';
import { RopeCache } from './rope.ts';
import { modelSpace } from './space.ts';
import { createStream, type Stream } from './stream.ts';
import type { ElasticModel, ForwardOptions, ForwardOutput, KeyValueCache, LayerRange, ModelInputs } from './types.ts';
import { slotVariables, type SlotValues } from './variables.ts';
import { guardMemory } from './wasm-memory.ts';

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
  readonly #layers: Layers;
  readonly #own: readonly tf.Variable[];
  readonly #rope: RopeCache | undefined;
  readonly #ropeLocal: RopeCache | undefined;
  readonly source?: CheckpointFiles;
  readonly generation?: GenerationDefaults;
  readonly adapters?: Adapters;

  /**
   * `values` are the weights by slot name, in slot shape (a variable is used where it is, and stays its owner's); `choices` override the
   * default elastic space.
   *
   * @throws SupernetError `missing-weight`, `invalid-subnet` (choices that the model does not have)
   */
  constructor(
    config: ModelConfig,
    values: ReadonlyMap<string, SlotValues>,
    choices: SpaceChoices = {},
    source?: CheckpointFiles,
    generation?: GenerationDefaults,
    adapted?: OwnAdapters,
  ) {
    requireComputable(config);
    this.config = config;
    if (source) this.source = source;
    if (generation) this.generation = generation;
    const { adapters, copies = [] } = adapted ?? {};
    if (adapters) this.adapters = adapters;
    this.family = config.family;
    this.space = modelSpace(config, choices, adapters);
    this.slots = weightSlots(config);
    this.#slotByName = new Map(this.slots.map((slot) => [slot.name, slot]));
    this.#rope = config.rope && new RopeCache(config.rope, config.headSize);
    this.#ropeLocal = config.ropeLocal && new RopeCache(config.ropeLocal, config.headSize);
    const { weights, own } = slotVariables(this.slots, values);
    this.weights = weights;
    this.#own = [...own, ...copies, ...(adapters?.weights.values() ?? [])];
    this.#layers = new Layers({ config, weights, slots: this.#slotByName, adapters });
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

  runLayers(inputs: ModelInputs, range: LayerRange): tf.Tensor2D {
    checkInputs(this.config, inputs, 0);
    checkRange(this.config, range);
    guardMemory();
    return tf.tidy(() => {
      const { pass, embedded } = this.#begin(inputs, range, this.#streamOf(range), undefined);
      return tf.clone(this.#through(enteringOf(embedded, range), range.from, range.to, pass));
    });
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
    for (const variable of this.#own) variable.dispose();
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
      drop: (x) => passDropout(config, x, options, 'classifier', 0),
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
    const { pass, embedded } = this.#begin(inputs, options, stream, append);
    const states: tf.Tensor2D[] = [embedded];
    const layers = options.subnet?.layers ?? config.layers;
    const hidden = this.#through(embedded, 0, layers, pass, states);
    const normed = config.finalNorm ? this.#layers.norm(hidden, 'norm', pass) : hidden;
    if (config.normedLastHiddenState) states[states.length - 1] = normed;
    return { hidden: normed, states, batch: pass.batch, length: pass.length };
  }

  /** What layers compute with, and what enters the first. */
  #begin(
    inputs: ModelInputs,
    options: ForwardOptions,
    stream: Stream,
    append: KeyValueCache['append'] | undefined,
  ): { readonly pass: Pass; readonly embedded: tf.Tensor2D } {
    const { config } = this;
    const isText = inputs.inputIds !== undefined && (config.multiway || !config.patches);
    const positions = isText ? positionsOf(textConfig(config), inputs, options) : undefined;
    const embedded = embedInputs(config, stream, inputs, positions);
    if (config.embeddingNorm) options.observeNorm?.('embeddings.norm', embedded.hidden);
    const { batch, length, split } = embedded;
    const pass: Pass = {
      options,
      masked: isMasked(options),
      stream,
      attention: attentionOf(config, options),
      batch,
      length,
      mask: inputs.attentionMask && keyMask(config, inputs.attentionMask, length),
      split,
      rope: positions && this.#rope?.at(positions, options.sequenceTokens),
      ropeLocal: positions && this.#ropeLocal?.at(positions, options.sequenceTokens),
      relative: config.relativeAttention && this.#layers.relative(config.relativeAttention, length, stream),
      append,
    };
    return { pass, embedded: passDropout(config, embedded.hidden, options, 'hidden', 0) };
  }

  /** The residual stream after the layers from `from` to before `to`; `states` takes each where they are asked for. */
  #through(entering: tf.Tensor2D, from: number, to: number, pass: Pass, states?: tf.Tensor2D[]): tf.Tensor2D {
    let hidden = entering;
    for (let layer = from; layer < to; layer++) {
      // Inside tf.tidy intermediate tensors would live until the end; each layer frees its own (gradients keep what they need).
      hidden = tf.tidy(() => this.#layers.layer(hidden, layer, pass));
      if (pass.options.hiddenStates) states?.push(hidden);
    }
    return hidden;
  }

  #streamOf(options: ForwardOptions): Stream {
    return this.#stream(options.subnet?.hidden ?? this.config.hiddenSize, isMasked(options));
  }

  #stream(hidden: number, masked: boolean): Stream {
    return createStream({ config: this.config, weights: this.weights, slots: this.#slotByName }, hidden, masked);
  }
}
