// What this package needs of transformers.js: a loaded model, and where the library looks for files. Written down here, so that nothing
// of it is imported.
import type { Ort, OrtSession } from '../runtime/ort.ts';

/** A session as transformers.js keeps it. */
export type TransformersSession = OrtSession & {
  readonly config?: { readonly dtype?: string; readonly device?: string };
};

/** A model of transformers.js 4: what `AutoModelForCausalLM.from_pretrained` gives, or `pipeline(…).model`. */
export interface TransformersModel {
  readonly config: object;
  sessions: Record<string, unknown>;
  generate?(...options: never[]): Promise<unknown>;
  readonly generation_config?: object | null;
}

/** `env` of transformers.js. */
export interface TransformersEnv {
  readonly localModelPath?: string;
  readonly cacheDir?: string | null;
  readonly cacheKey?: string;
  readonly allowLocalModels?: boolean;
  /** Of the onnxruntime that it brings. */
  readonly backends?: { readonly onnx?: NonNullable<Ort['env']> };
}

/** Suffix of a model's file, by dtype. */
export const DTYPE_SUFFIXES: Readonly<Record<string, string>> = {
  fp32: '',
  fp16: '_fp16',
  int8: '_int8',
  uint8: '_uint8',
  q8: '_quantized',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
};
