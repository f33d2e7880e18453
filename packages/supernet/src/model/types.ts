// The contract between families, training, export and callers: configuration, inputs, options and the elastic model itself.
import type * as tf from '@tensorflow/tfjs';
import type { CheckpointFiles } from '../checkpoint/files.ts';
import type { ElasticSpace, SubnetConfig } from '../elastic/space.ts';

/** A family's name: `llama`, `qwen2`, `qwen3`, `gpt2`, `bert`, `roberta`, `vit`, `deit`, `beit3`, or one of your own. */
export type FamilyName = string;

/** What the model's head computes. */
export type HeadKind =
  | 'causal-lm'
  | 'masked-lm'
  | 'sequence-classification'
  | 'token-classification'
  | 'image-classification'
  | 'none';

/** Activation functions, by their transformers names' meaning: `gelu` is exact (erf), `gelu-tanh` is gelu_new/gelu_pytorch_tanh. */
export type Activation = 'silu' | 'gelu' | 'gelu-tanh' | 'quick-gelu' | 'relu' | 'tanh';

/** How a classifier reads the sequence: class token, last real token, mean of the patches, or class + distillation token. */
export type Readout = 'first' | 'last' | 'mean-patches' | 'distilled' | 'tokens';

/** Rotary position embedding. `inverseFrequencies` already contains the scaling (llama3, linear, yarn) of the configuration. */
export interface RopeConfig {
  readonly theta: number;
  /** Radians per position of each of the headSize/2 pairs. */
  readonly inverseFrequencies: readonly number[];
  /** Factor on cos and sin (yarn/longrope); 1 otherwise. */
  readonly attentionFactor: number;
  /** Dynamic NTK scaling: beyond `maxPositions` tokens θ grows with the length. */
  readonly dynamic?: { readonly factor: number; readonly maxPositions: number };
}

/** Patch embedding of image models. */
export interface PatchConfig {
  readonly imageSize: readonly [height: number, width: number];
  readonly patchSize: readonly [height: number, width: number];
  readonly channels: number;
  /** Tokens before the patches: 1 (class), 2 (class + distillation, DeiT). */
  readonly prefixTokens: number;
}

/** A family-independent description of one transformer, read from a checkpoint's config.json. */
export interface ModelConfig {
  readonly family: FamilyName;
  readonly head: HeadKind;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** FFN units. */
  readonly ffn: number;
  /** Per-layer query heads and FFN units of an extracted model with unequal layers; absent when uniform. */
  readonly layerHeads?: readonly number[];
  readonly layerFfn?: readonly number[];
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly typeVocabSize: number;
  readonly labels: number;
  readonly norm: { readonly kind: 'rms' | 'layer'; readonly epsilon: number; readonly placement: 'pre' | 'post' };
  readonly activation: Activation;
  /** Gated FFN (SwiGLU): down(act(gate(x)) · up(x)). */
  readonly gated: boolean;
  readonly causal: boolean;
  readonly bias: { readonly qkv: boolean; readonly key: boolean; readonly output: boolean; readonly ffn: boolean };
  /** RMS norm of every query and key head before RoPE (Qwen3). */
  readonly qkNorm: boolean;
  /** LayerNorm inside attention and FFN before the second projection (BEiT-3, "sub-LN"). */
  readonly subNorm: boolean;
  readonly attentionScale: number;
  /** Per-layer sliding window in tokens, 0 = full attention (Qwen2/Qwen3 `layer_types`); absent when no layer slides. */
  readonly slidingWindows?: readonly number[];
  readonly rope?: RopeConfig;
  /** Rows of the learned position table; 0 without one. */
  readonly positionRows: number;
  /** Row of the first token in the position table (RoBERTa: padding_idx + 1, BEiT-3: 2). */
  readonly positionOffset: number;
  /** Padding tokens take position row padding_idx and do not count (RoBERTa). */
  readonly positionsSkipPadding: boolean;
  readonly patches?: PatchConfig;
  /** LayerNorm after the embeddings (BERT). */
  readonly embeddingNorm: boolean;
  /** Norm after the last layer (pre-norm models). */
  readonly finalNorm: boolean;
  readonly readout: Readout;
  /** Linear + tanh on the class token before the classifier (BERT). */
  readonly pooler: boolean;
  /** Extra linear of the head: BERT's and RoBERTa's MLM transform (with LayerNorm), RoBERTa's classifier (tanh). */
  readonly headDense: 'none' | 'lm-transform' | 'tanh';
  /** Activation of the LM transform. @defaultValue `activation` */
  readonly headActivation?: Activation;
  /** LayerNorm between readout and classifier (BEiT-3). */
  readonly readoutNorm: boolean;
  readonly headBias: boolean;
  /** Whether transformers returns the last hidden state after the final norm. */
  readonly normedLastHiddenState: boolean;
  readonly tiedEmbeddings: boolean;
  readonly padTokenId?: number;
  readonly eosTokenIds: readonly number[];
  /** Drop-out probability of the checkpoint's configuration (used only when training asks for it). */
  readonly dropout: number;
  /** The checkpoint's config.json as it was read. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** Inputs of a forward pass; text models take ids, image models pixels. */
export interface ModelInputs {
  /** Token ids [B, T] int32. */
  readonly inputIds?: tf.Tensor2D;
  /** 1 = real token, 0 = padding, [B, T] (with a cache: [B, cached + T]); int32, float32 or bool. */
  readonly attentionMask?: tf.Tensor2D;
  /** Segment ids [B, T] int32 (BERT). @defaultValue zeros */
  readonly tokenTypeIds?: tf.Tensor2D;
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
  /** Sliding window in tokens; absent = full attention. */
  readonly window?: number;
  /** The cache that k and v come from: what an attention function remembers of a sequence belongs to it. */
  readonly cache?: KeyValueCache;
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
  /** Position of the first input token. @defaultValue the cache's length, else 0 */
  readonly positionOffset?: number | undefined;
  /**
   * What a language model returns as logits: of all positions, of the last one, an empty [B, 0, V], or `hidden`: the final hidden
   * state [B, T, D] instead, for {@link ElasticModel.languageLogits} a few rows at a time.
   *
   * @defaultValue 'all'
   */
  readonly logits?: 'all' | 'last' | 'none' | 'hidden' | undefined;
  /** Apply drop-out (seeded). @defaultValue false */
  readonly training?: boolean | undefined;
  /** Drop-out probability when training. @defaultValue the configuration's */
  readonly dropout?: number | undefined;
  /** Seed of drop-out masks. @defaultValue 0 */
  readonly seed?: number | undefined;
  /**
   * Sees the input [B·T, features] of every attention output and FFN down projection, e.g. to measure importance. The tensor is
   * disposed afterwards.
   */
  readonly observe?: ((projection: string, input: tf.Tensor2D) => void) | undefined;
}

/** Result of a forward pass. The caller disposes (or runs inside tf.tidy). */
export interface ForwardOutput {
  /** [B, T, vocab] of language models, [B, labels] of classifiers. */
  readonly logits: tf.Tensor;
  /** Embeddings first, then one per layer run; as transformers 5 returns them (last one after the final norm where it does so). */
  readonly hiddenStates?: readonly tf.Tensor3D[];
}

/** How a weight shrinks with the sub-network, per axis. */
export type ElasticAxis = 'fixed' | 'query-heads' | 'kv-heads' | 'ffn';

/** One trainable weight: its canonical name, shape and elastic axes. Linear weights are [in, out]. */
export interface WeightSlot {
  /** Canonical name, e.g. `layers.0.attention.query.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly axes: readonly ElasticAxis[];
  /** Layer index, or undefined for embeddings, final norm and head. */
  readonly layer?: number;
  /** `embedding`s and `norm`s and `bias`es usually take no weight decay; `head` is the task head. */
  readonly role: 'embedding' | 'linear' | 'bias' | 'norm' | 'head';
}

/** A pretrained transformer whose layers, heads and FFN are elastic. */
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
  /**
   * Runs the model. What is checked without waiting for a device: shapes and types always, ids where they are in host memory (the
   * backends cpu and wasm).
   *
   * @throws SupernetError `invalid-input`, `invalid-subnet`, `invalid-option` (a cache for a model that is not causal),
   * `out-of-memory` (tfjs-wasm)
   */
  forward(inputs: ModelInputs, options?: ForwardOptions): ForwardOutput;
  /**
   * Logits [N, vocab] of final hidden rows [N, D] (`logits: 'hidden'`), so that long documents never hold all of them.
   *
   * @throws SupernetError `unsupported-model` when it is no language model
   */
  languageLogits(hidden: tf.Tensor2D): tf.Tensor2D;
  dispose(): void;
}
