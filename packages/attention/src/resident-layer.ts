// A layer of a model cache, wherever its keys and values are kept.
import type * as tf from '@tensorflow/tfjs';
import type { AttentionShape } from '@hip/mask-search';
import type { AttentionBackend } from './backend.ts';
import type { LayerConfigs, LayerContext, ModelAttentionOptions } from './model.ts';

export interface ModelCacheOptions extends ModelAttentionOptions {
  /** Tokens a layer may hold: refuses to grow beyond. @defaultValue none */
  readonly maxTokens?: number | undefined;
  /** Float16 halves the memory; keys and values are rounded to 11 bits, on webgpu queries and outputs, too. @defaultValue 'f32' */
  readonly type?: 'f32' | 'f16' | undefined;
}

/** A layer's keys and values in the kernels' memory, and its attention. */
export interface ResidentLayer {
  readonly length: number;
  readonly bytes: number;
  /** Stores the next tokens and attends from them. What throws has changed nothing. */
  attend(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, context: LayerContext): tf.Tensor4D;
  truncate(length: number): void;
  dispose(): void;
}

/** Of a layer's first tokens. */
export interface LayerForm {
  readonly shape: Omit<AttentionShape, 'queries' | 'keys'>;
  readonly context: LayerContext;
}

/** What all layers of a cache share. */
export interface CacheCommon {
  readonly options: ModelCacheOptions;
  readonly configs: LayerConfigs;
  readonly backend: AttentionBackend;
}
