// The contract between families, training, export and callers: configuration, inputs, options and the elastic model itself.
import type * as tf from '@tensorflow/tfjs';
import type { CheckpointFiles, FamilyName, GenerationDefaults, ModelConfig, WeightSlot } from '@hip/checkpoints';
import type { Adapters } from '../adapters/types.ts';
import type { DropoutRates } from './dropout.ts';
import type { ElasticSpace, SubnetConfig } from '../elastic/types.ts';

/** Inputs of a forward pass; text models take ids, image models pixels, multiway models (BEiT-3) either or both. */
export interface ModelInputs {
  /** Token ids [B, T] int32. */
  readonly inputIds?: tf.Tensor2D;
  /** 1 = real token, 0 = padding, [B, T] (with a cache: [B, cached + T]); int32, float32 or bool. */
  readonly attentionMask?: tf.Tensor2D;
  /** Segment ids [B, T] int32 (BERT); a model of one segment type does not look at them. @defaultValue zeros */
  readonly tokenTypeIds?: tf.Tensor2D;
  /**
   * Position of each token in its text, from 0 in every family, [B, T] int32.
   *
   * @defaultValue counted: padding in front of a text (and between its tokens, in causal models) by the mask does not count
   */
  readonly positionIds?: tf.Tensor2D;
  /** Normalised pixels [B, C, H, W] float32, Hugging Face layout. */
  readonly pixelValues?: tf.Tensor4D;
}

/** What an {@link AttentionFunction} is told beside q, k and v. */
export interface AttentionContext {
  readonly layer: number;
  readonly causal: boolean;
  readonly scale: number;
  /** Key padding mask [B, Tk]: 1 = attend, 0 = padding. */
  readonly mask?: tf.Tensor;
  /** Keys before the first query: Tk − Tq (positions already in the cache). */
  readonly queryOffset: number;
  /** Sliding window in tokens, the query's own included (where not causal, as far to either side); absent = full attention. */
  readonly window?: number;
  /** Added to q·kᵀ before it is scaled [B, H, Tq, Tk] (relative positions). */
  readonly bias?: tf.Tensor4D;
  /** Drop-out of the shares that keys get, in training: the same seed draws the same ones. */
  readonly dropout?: { readonly rate: number; readonly seed: number };
  /** The cache that k and v come from: what an attention function remembers of a sequence belongs to it. */
  readonly cache?: KeyValueCache;
  /** How q and k were turned by position: channel c of a head with channel c + d/2 (RoPE), or not (learned positions). */
  readonly rotation?: 'half-split' | 'other';
}

/**
 * Attention as a parameter: q [B, Tq, H, d], k and v [B, Tk, Hkv, d] (RoPE applied) → [B, Tq, H, d].
 * Causal means bottom-right aligned: query row i stands at position Tk − Tq + i.
 */
export type AttentionFunction = (
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
) => tf.Tensor4D;

/** Keys and values of earlier tokens, per layer. The model appends and attends over everything returned. */
export interface KeyValueCache {
  /** Tokens cached (equal for every layer between forward passes). */
  readonly length: number;
  /** Appends k, v [B, T, Hkv, d] of the layer; returns everything so far [B, cached + T, Hkv, d]. */
  append(layer: number, k: tf.Tensor4D, v: tf.Tensor4D): { readonly k: tf.Tensor4D; readonly v: tf.Tensor4D };
  /**
   * Forgets the tokens of every layer from `length` on: so a pass that fails is taken back. A cache without it is refused after a
   * pass that failed.
   */
  truncate?(length: number): void;
  dispose(): void;
}

/** Options of {@link ElasticModel.forward}. */
export interface ForwardOptions {
  /** Sub-network to run. @defaultValue the full model */
  readonly subnet?: SubnetConfig | undefined;
  /** `sliced` computes only the kept part; `masked` computes everything and zeroes the rest. @defaultValue 'sliced' */
  readonly mode?: 'masked' | 'sliced' | undefined;
  /** @defaultValue dense attention in tfjs */
  readonly attention?: AttentionFunction | undefined;
  /** Return every hidden state (transformers' `output_hidden_states`). @defaultValue false */
  readonly hiddenStates?: boolean | undefined;
  /** Cache of a causal model: inputs are the next tokens. */
  readonly cache?: KeyValueCache | undefined;
  /** Position of the first input token of every sequence, whatever the mask. @defaultValue the cache's length, else 0 */
  readonly positionOffset?: number | undefined;
  /**
   * Tokens of the prompt that these are a part of, cached ones included: dynamic NTK scaling takes one θ for all of it, so that it may
   * come in pieces. A token decoded beyond it takes the θ of its own position; keys in the cache stay as they are rotated.
   *
   * @defaultValue the last input token's position + 1
   */
  readonly sequenceTokens?: number | undefined;
  /**
   * What a language model returns as logits: of all positions, of the last real token of each sequence [B, 1, V], an empty
   * [B, 0, V], or `hidden`: the final hidden state [B, T, D] instead, for {@link ElasticModel.languageLogits} a few rows at a time.
   *
   * @defaultValue 'all'
   */
  readonly logits?: 'all' | 'last' | 'none' | 'hidden' | undefined;
  /** Apply drop-out (seeded). @defaultValue false */
  readonly training?: boolean | undefined;
  /** Drop-out probabilities when training; a number is `hidden` alone. @defaultValue the configuration's */
  readonly dropout?: number | DropoutRates | undefined;
  /** Seed of drop-out masks. @defaultValue 0 */
  readonly seed?: number | undefined;
  /**
   * Sees the input [B·T, features] of every attention output and FFN down projection, e.g. to measure importance. The tensor is
   * disposed afterwards.
   */
  readonly observe?: ((projection: string, input: tf.Tensor2D) => void) | undefined;
  /** The same of the output [B·T, D] of every norm of the residual stream, by the norm's name. */
  readonly observeNorm?: ((norm: string, output: tf.Tensor2D) => void) | undefined;
  /** The residual stream [B·T, D] as each attention and FFN (`layers.0.attention`) leaves it, before a norm that comes after them. */
  readonly observeBlock?: ((block: string, stream: tf.Tensor2D) => void) | undefined;
}

/** Which layers {@link ElasticModel.runLayers} runs, on what. */
export interface LayerRange extends Pick<ForwardOptions, 'observe' | 'observeBlock'> {
  /** The first one. */
  readonly from: number;
  /** The one after the last. */
  readonly to: number;
  /** What enters the first one [B·T, D]. @defaultValue the embeddings of the inputs, which layer 0 gets */
  readonly entering?: tf.Tensor2D | undefined;
}

/** Result of a forward pass. The caller disposes (or runs inside tf.tidy). */
export interface ForwardOutput {
  /**
   * [B, T, vocab] of language models, [B, labels] of classifiers, [B, T, labels] of token classifiers, [B, D] of sentence encoders; of
   * image-text retrieval exp(scale) · similarity [images, texts], or the embeddings [B, D] where one kind is given; [B, T, D] without a head.
   */
  readonly logits: tf.Tensor;
  /** Image-text retrieval: unit vectors of the images [B, D]. */
  readonly imageEmbeddings?: tf.Tensor2D;
  /** The same of the texts. */
  readonly textEmbeddings?: tf.Tensor2D;
  /**
   * [B, T, D] with a sub-network's own D (in masked mode the model's). Embeddings first, then one per layer run; as transformers 5 returns them (last one after the final norm where it does so). Not of image-text
   * retrieval given both kinds, which are two passes.
   */
  readonly hiddenStates?: readonly tf.Tensor3D[];
}

/** A pretrained transformer whose layers, heads, FFN and hidden size are elastic. */
export interface ElasticModel {
  readonly family: FamilyName;
  readonly config: ModelConfig;
  readonly space: ElasticSpace;
  /** Trainable weights by canonical name ({@link WeightSlot.name}); linear weights are stored [in, out]. */
  readonly weights: ReadonlyMap<string, tf.Variable>;
  /** Descriptions of `weights`, in the same order. */
  readonly slots: readonly WeightSlot[];
  /** The checkpoint it was loaded from: extraction copies its tokenizer. */
  readonly source?: CheckpointFiles;
  /** The checkpoint's `generation_config.json`. */
  readonly generation?: GenerationDefaults;
  /** Low-rank adapters beside the weights (`addAdapters`): those are trained then, and the weights not, except {@link Adapters.replaced}. */
  readonly adapters?: Adapters;
  /**
   * Runs the model. What is checked without waiting for a device: shapes and types always, ids where they are in host memory (the
   * backends cpu and wasm).
   *
   * @throws SupernetError `invalid-input`, `invalid-subnet`, `invalid-option` (a cache for a model that is not causal),
   * `out-of-memory` (tfjs-wasm)
   */
  forward(inputs: ModelInputs, options?: ForwardOptions): ForwardOutput;
  /**
   * The residual stream [B·T, D] as layers leave it that are run by themselves: for methods that go through a network layer by layer, and
   * would compute what lies before each one again and again. The caller disposes it.
   *
   * @throws SupernetError `invalid-input`, `invalid-option` (layers that are not there, a stream of another shape), `out-of-memory` (tfjs-wasm)
   */
  runLayers(inputs: ModelInputs, range: LayerRange): tf.Tensor2D;
  /**
   * Logits [N, vocab] of final hidden rows [N, D] (`logits: 'hidden'`), so that long documents never hold all of them.
   *
   * @throws SupernetError `unsupported-model` when it is no language model
   */
  languageLogits(hidden: tf.Tensor2D): tf.Tensor2D;
  dispose(): void;
}
