// A transformer in family-independent terms: its configuration and its weights' names, shapes and elastic axes.

/** A family's name: `llama`, `mistral`, `gemma2`, `bert`, … (those of `families`), or one of your own. */
export type FamilyName = string;

/** What the model's head computes. */
export type HeadKind =
  | 'causal-lm'
  | 'masked-lm'
  | 'sequence-classification'
  | 'token-classification'
  | 'image-classification'
  /** Unit vectors of images and texts, and their similarities (BEiT-3). */
  | 'image-text-retrieval'
  /** Scores of answers to a question about an image (BEiT-3). */
  | 'visual-question-answering'
  /** One vector a text (sentence-transformers). */
  | 'sentence-embedding'
  | 'none';

/** Activation functions, by their transformers names' meaning: `gelu` is exact (erf), `gelu-tanh` is gelu_new/gelu_pytorch_tanh. */
export type Activation = 'silu' | 'gelu' | 'gelu-tanh' | 'quick-gelu' | 'relu' | 'tanh';

/** How a classifier reads the sequence: class token, last real token, mean of the real tokens or of the patches, or class + distillation token. */
export type Readout = 'first' | 'last' | 'mean' | 'mean-patches' | 'distilled' | 'tokens';

/** What a classifier's outputs are: scores of which one is right, of which any number are, or the values themselves (`problem_type`). */
export type ProblemType = 'single_label_classification' | 'multi_label_classification' | 'regression';

/** Disentangled attention (He 2021, DeBERTa): scores of contents with relative positions beside those of contents with contents. */
export interface RelativeAttention {
  /** Distances told apart on either side; the table has twice as many rows. */
  readonly span: number;
  /** Distances beyond `span / 2` share rows, the more the further (DeBERTa-v2), up to `maxDistance`; 0: each has its own. */
  readonly buckets: number;
  readonly maxDistance: number;
  /** Queries see the positions of keys. */
  readonly contentToPosition: boolean;
  /** Keys see the positions of queries. */
  readonly positionToContent: boolean;
  /** Positions go through the projections of the contents. */
  readonly sharedProjections: boolean;
  /** LayerNorm over the table. */
  readonly norm: boolean;
}

/**
 * Rotary position embedding, half-split: pair i of a head is its features i and i + pairs, and what is beyond 2 · pairs is not rotated.
 * `inverseFrequencies` already contains the scaling (llama3, linear, yarn, longrope's short factors) of the configuration.
 */
export interface RopeConfig {
  readonly theta: number;
  /** Radians per position of each pair: headSize/2 of them, fewer where rotation is partial. */
  readonly inverseFrequencies: readonly number[];
  /** Factor on cos and sin (yarn/longrope); 1 otherwise. */
  readonly attentionFactor: number;
  /** Dynamic NTK scaling: beyond `maxPositions` tokens θ grows with the length. */
  readonly dynamic?: { readonly factor: number; readonly maxPositions: number };
  /** longrope: a sequence of more than `beyond` tokens is rotated by these frequencies, from its first token on. */
  readonly long?: { readonly beyond: number; readonly inverseFrequencies: readonly number[] };
}

/**
 * Norms: `pre` before attention and FFN; `post` after their sum with the residual (BERT); `output` on what attention and FFN give, before
 * the sum (OLMo 2); `sandwich` both before and on the output (Gemma 2 and 3).
 */
export type NormPlacement = 'pre' | 'post' | 'output' | 'sandwich';

/** What a norm computes and where it stands. */
export interface NormConfig {
  readonly kind: 'rms' | 'layer';
  readonly epsilon: number;
  readonly placement: NormPlacement;
  /** Whether LayerNorms have a bias (ModernBERT's have none). @defaultValue true */
  readonly bias?: boolean;
  /** Added to every weight, those of query and key norms too: 1 in Gemma. @defaultValue 0 */
  readonly offset?: number;
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
  /** Per-layer query heads and FFN units of an extracted model with unequal layers, 0 where a block was left out; absent when uniform. */
  readonly layerHeads?: readonly number[];
  readonly layerFfn?: readonly number[];
  /** Per-layer key/value heads of an extracted model whose layers differ in query heads per key/value head. */
  readonly layerKvHeads?: readonly number[];
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly typeVocabSize: number;
  readonly labels: number;
  readonly norm: NormConfig;
  readonly activation: Activation;
  /** Gated FFN (SwiGLU): down(act(gate(x)) · up(x)). */
  readonly gated: boolean;
  readonly causal: boolean;
  readonly bias: { readonly qkv: boolean; readonly key: boolean; readonly output: boolean; readonly ffn: boolean };
  /** RMS norm of queries and keys before RoPE. */
  readonly qkNorm: boolean;
  /** What one query or key norm spans: each head (Qwen3, Gemma 3) or all heads together (OLMo 2). @defaultValue 'head' */
  readonly qkNormSpan?: 'head' | 'all-heads';
  /** LayerNorm inside attention and FFN before the second projection (BEiT-3, "sub-LN"). */
  readonly subNorm: boolean;
  readonly attentionScale: number;
  /** Layer 0 has no norm before attention: the embeddings' own serves (ModernBERT). @defaultValue false */
  readonly skipsFirstNorm?: boolean;
  /** Relative positions in the scores (DeBERTa). */
  readonly relativeAttention?: RelativeAttention;
  /**
   * Every layer, final norm and position table twice, for tokens of images (named as ever) and of texts (`language.`); only attention sees
   * both (BEiT-3). `patches` and `vocabSize` say the rest.
   *
   * @defaultValue false
   */
  readonly multiway?: boolean;
  /** Rows of the position table of texts in a multiway model. */
  readonly textPositionRows?: number;
  /**
   * Per-layer sliding window in tokens, the query's own included, 0 = full attention; absent when no layer slides. Of models that are not
   * causal it reaches as far to either side.
   */
  readonly slidingWindows?: readonly number[];
  /** Rotation of all layers, or of those that see all tokens where `ropeLocal` is another. */
  readonly rope?: RopeConfig;
  /** Rotation of layers with a sliding window (Gemma 3). @defaultValue `rope` */
  readonly ropeLocal?: RopeConfig;
  /** Per layer, whether it is rotated at all (SmolLM3 leaves every fourth out); absent when all are. */
  readonly rotatedLayers?: readonly boolean[];
  /** Scores s become cap · tanh(s / cap) before the mask and the softmax (Gemma 2). */
  readonly attentionSoftcap?: number;
  /** The same of the logits. */
  readonly logitSoftcap?: number;
  /** Factor on the token embeddings (Gemma: √hiddenSize; Granite). @defaultValue 1 */
  readonly embeddingScale?: number;
  /** Factor on what attention and FFN give before it is added (Granite). @defaultValue 1 */
  readonly residualScale?: number;
  /** Factor on the logits, before a soft-cap (Granite: 1 / logits_scaling). @defaultValue 1 */
  readonly logitScale?: number;
  /** Rows of the learned position table; 0 without one. */
  readonly positionRows: number;
  /** Row of the first token in the position table (RoBERTa: padding_idx + 1, BEiT-3: 2). */
  readonly positionOffset: number;
  /** Padding tokens take position row padding_idx and do not count (RoBERTa). */
  readonly positionsSkipPadding: boolean;
  readonly patches?: PatchConfig;
  /** LayerNorm after the embeddings (BERT). */
  readonly embeddingNorm: boolean;
  /** Embeddings of padding are zero (BEiT-3, DeBERTa). @defaultValue false */
  readonly zeroPadding?: boolean;
  /** Norm after the last layer (pre-norm models). */
  readonly finalNorm: boolean;
  readonly readout: Readout;
  /** Linear + tanh on the class token before the classifier (BERT). */
  readonly pooler: boolean;
  /** LayerNorm before the pooler (BEiT-3's questions). @defaultValue false */
  readonly poolerNorm?: boolean;
  /**
   * Extra linear of the head: `lm-transform`, activation and LayerNorm after it (masked language models; ModernBERT's classifiers);
   * `tanh` (RoBERTa's classifier); `activation` (DistilBERT, DeBERTa); `wide`, to twice the hidden size, LayerNorm and activation after it
   * (BEiT-3's questions).
   */
  readonly headDense: 'none' | 'lm-transform' | 'tanh' | 'activation' | 'wide';
  /** Activation of the head. @defaultValue `activation` */
  readonly headActivation?: Activation;
  /** Bias of the head's extra linear. @defaultValue true */
  readonly headDenseBias?: boolean;
  /** Whether what a sentence encoder gives has length 1. @defaultValue false */
  readonly unitEmbedding?: boolean;
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

/** How a weight shrinks with the sub-network, per axis. */
export type ElasticAxis = 'fixed' | 'hidden' | 'twice-hidden' | 'query-heads' | 'kv-heads' | 'ffn';

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
