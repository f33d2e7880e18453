// Shaders of a first prompt and its first tokens, compiled side by side while weights are read.
import { compilePipelines, GpuCall, type ModelPool, type PipelineSpec } from '@hip/kernels-webgpu';
import { encodeFinite, encodeTop, topBytes } from '@hip/kernels-webgpu/model';
import type { ModelConfig } from '@hip/checkpoints';
import { CANDIDATES } from '../checks.ts';
import type { Activations } from './activations.ts';
import type { GpuDecoder } from './decoder.ts';

/** Rows of a short prompt. */
const SHORT = 64;

/** A call that is not made: it notes which shaders it would run. */
class Noted extends GpuCall {
  readonly specs: PipelineSpec[] = [];

  override pass({ pipeline }: Parameters<GpuCall['pass']>[0]): void {
    this.specs.push(pipeline);
  }
}

export interface WarmParts {
  readonly config: ModelConfig;
  readonly decoder: GpuDecoder;
  readonly pool: ModelPool;
  readonly chunk: Activations;
  readonly steps: Activations;
  readonly layers: number;
}

/**
 * Resolves when a short prompt and its tokens need no compiler; whole chunks follow.
 *
 * @throws HipError what the compiler refuses, `out-of-memory`
 */
export async function warm(parts: WarmParts): Promise<void> {
  const { config, decoder, pool, chunk, steps } = parts;
  const { context } = pool;
  // A processor compiles one after another, and what is never used, too.
  if (context.device.adapterInfo.isFallbackAdapter) return;
  using short = new Noted(context);
  using long = new Noted(context);
  using session = pool.createSession();
  const body = (call: GpuCall, activations: Activations, rows: number): void => {
    using turn = session.begin(rows);
    decoder.embed(call, activations, rows);
    for (let layer = 0; layer < parts.layers; layer++) {
      call.section(() => decoder.before(call, activations, layer, rows));
      if (!turn.offloaded) turn.encode(call, layer, decoder.attention(activations, layer, rows));
      call.section(() => decoder.after(call, activations, layer, rows));
    }
  };
  // What takes longest begins first.
  if (chunk.rows > 1) body(short, chunk, Math.min(SHORT, chunk.rows));
  body(short, steps, 1);
  if (chunk.rows > SHORT) body(long, chunk, chunk.rows);
  decoder.head(short, steps.tensors.hidden, steps.tensors.logits, 1);
  const options = { rows: 1, vocabulary: config.vocabSize, count: CANDIDATES };
  const out = { buffer: short.scratch(topBytes(options), 'candidates') };
  encodeTop(short, { logits: steps.tensors.logits, out }, options);
  encodeFinite(short, { x: chunk.tensors.hidden, found: out }, { rows: 1, width: config.hiddenSize });
  await compiled(short);
  // Nobody waits for these; what the compiler refuses of them is said when they are used.
  void compiled(long).catch(() => undefined);
}

function compiled({ context, specs }: Noted): Promise<void> {
  const unique = new Map(specs.map((spec) => [`${spec.entryPoint ?? ''}\n${spec.code}`, spec]));
  return compilePipelines(context, [...unique.values()]);
}
