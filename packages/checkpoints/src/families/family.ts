// What a family is: how to read its config.json and which checkpoint tensor fills which weight slot.
import type { ModelConfig } from '../model/config.ts';
import type { GgufFields } from './gguf-fields.ts';
import type { RawConfig } from './hf-config.ts';

/** How a stored tensor becomes a slot: linear weights are stored [out, in] by PyTorch and used [in, out] here. */
export type TensorTransform =
  | 'as-is'
  /** [out, in] → [in, out]. */
  | 'transpose'
  /** Convolution [out, in, kh, kw] → [kh·kw·in, out] for flattened patches. */
  | 'patches'
  /** Drop leading axes of extent 1 down to the slot's rank. */
  | 'squeeze';

/** Fills one slot from one checkpoint tensor, or from the `index`-th of `of` equal parts of its last axis. */
export interface TensorBinding {
  readonly slot: string;
  readonly tensor: string;
  readonly transform: TensorTransform;
  readonly part?: { readonly index: number; readonly of: number };
  /** The slot is rows start … of a stored tensor of `of` rows ([out, in]). */
  readonly rows?: StoredRows;
  /** Rows of each head of this size are stored in rotation pairs: 0, d/2, 1, d/2 + 1, … */
  readonly paired?: number;
  /** Added to every stored value. */
  readonly add?: number;
}

/** A range of the rows of a stored tensor. */
export interface StoredRows {
  readonly start: number;
  readonly of: number;
}

/** Names of one layer's tensors: canonical name without `layers.N.` → checkpoint name with `{}` for the layer index. */
export type NameTable = Readonly<Record<string, string | TensorName>>;

/** A checkpoint name that needs more than the default transform. */
export interface TensorName {
  readonly tensor: string;
  readonly transform?: TensorTransform;
  readonly part?: { readonly index: number; readonly of: number };
  /** The rows of a layer's fused tensor [out, in] that belong to the slot. */
  readonly rows?: (layer: number) => StoredRows;
  /** Query or key rows that ggml stores in rotation pairs (`rope_type` norm). */
  readonly paired?: boolean;
  /** Added to every stored value (ggml stores 1 + w of Gemma's norms: −1). */
  readonly add?: number;
}

/** How a family is stored in GGUF. */
export interface GgufFormat {
  /** `general.architecture` values. */
  readonly architectures: readonly string[];
  /** config.json out of the metadata, for {@link Family.readConfig}. @throws CheckpointError `invalid-config` */
  config(fields: GgufFields): RawConfig | Promise<RawConfig>;
  /** ggml's tensor names by canonical slot name; every tensor is stored [out, in]. */
  names(config: ModelConfig): NameTable;
}

/** One model family. Adding a family is writing one of these; see packages/checkpoints/docs/adding-a-family.md. */
export interface Family {
  readonly name: string;
  /** `model_type` values of config.json. */
  readonly modelTypes: readonly string[];
  /** Validates and normalises config.json. @throws CheckpointError `invalid-config`, `unsupported-model`. */
  readConfig(raw: RawConfig): ModelConfig;
  /** Prefix of the base model's tensors (`bert.`): may be absent in checkpoints of the bare model. */
  readonly basePrefix: string;
  /** Checkpoint names by canonical slot name; `{}` stands for the layer index on both sides. Slots not in use are ignored. */
  names(config: ModelConfig): NameTable;
  /** How it is stored in GGUF; absent where that is not read. */
  readonly gguf?: GgufFormat;
  /** config.json keys of the dimensions that extraction changes. */
  readonly configKeys: {
    readonly layers: string;
    readonly heads: string;
    readonly kvHeads?: string;
    readonly ffn: string;
    /** Key of the hidden size. @defaultValue 'hidden_size' */
    readonly hidden?: string;
    /** Keys that equal the hidden size where they are there. */
    readonly likeHidden?: readonly string[];
    /** Key of an explicit head size; families without one tie it to hidden size / heads. */
    readonly headSize?: string;
    /** transformers refuses a hidden size that is no multiple of the heads, whatever the head size. */
    readonly headsDivideHidden?: boolean;
    /** Keys whose value is a list with one entry per layer. */
    readonly perLayer?: readonly string[];
  };
}
