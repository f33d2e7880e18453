// A text through a model with dense attention, chunk by chunk, each attention call shown.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { KvCache } from '../cache.ts';
import { denseModelAttention, type LayerContext } from '../model.ts';
import { hiddenStates, type MeasuredModel } from './model.ts';

/** One attention call: q of the chunk's tokens, k and v of all so far, what came out; `start` is the chunk's first token. */
export interface DenseCall {
  readonly q: tf.Tensor4D;
  readonly k: tf.Tensor4D;
  readonly v: tf.Tensor4D;
  readonly out: tf.Tensor4D;
  readonly context: LayerContext;
  readonly start: number;
}

export interface DenseRunOptions {
  readonly chunkTokens: number;
  readonly onCall: (call: DenseCall) => void;
  /** After each chunk, its output computed. */
  readonly settle: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  readonly onTokens?: ((tokens: number) => void) | undefined;
}

/** @throws HipError `aborted`; what the model throws */
export async function denseRun(model: MeasuredModel, text: Int32Array, options: DenseRunOptions): Promise<void> {
  const { chunkTokens, onCall, settle, signal, onTokens } = options;
  const dense = denseModelAttention();
  using cache = new KvCache();
  for (let start = 0; start < text.length; start += chunkTokens) {
    if (signal?.aborted)
      throw new HipError('aborted', 'calibrate was aborted', { tokens: start }, { cause: signal.reason });
    const part = text.subarray(start, start + chunkTokens);
    const hidden = hiddenStates(model, part, {
      cache,
      attention: (q, k, v, context) => {
        const out = dense(q, k, v, context);
        onCall({ q, k, v, out, context, start });
        return out;
      },
    });
    try {
      await hidden.data();
      await settle();
    } finally {
      hidden.dispose();
    }
    onTokens?.(start + part.length);
    // Gives timers and the signal a turn on backends that compute in this thread.
    await new Promise((done) => setTimeout(done, 0));
  }
}
