// Compute pipelines, compiled once per device and WGSL text.
import type { GpuContext } from './context.ts';

/** A compute pipeline by its source. */
export interface PipelineSpec {
  readonly label: string;
  /** The whole module; the cache key together with entryPoint. */
  readonly code: string;
  /** @defaultValue 'main' */
  readonly entryPoint?: string | undefined;
}

function descriptor(
  { device }: GpuContext,
  { label, code, entryPoint = 'main' }: PipelineSpec,
): GPUComputePipelineDescriptor {
  return { label, layout: 'auto', compute: { module: device.createShaderModule({ label, code }), entryPoint } };
}

/** The text itself, where it can be: an engine knows the hash of a string that it has seen before. */
function keyOf({ code, entryPoint = 'main' }: PipelineSpec): string {
  return entryPoint === 'main' ? code : `${entryPoint}\n${code}`;
}

/** The compiled pipeline; compiles at first use. Compilation errors surface at the next call and in `context.settled()`. */
export function pipelineFor(context: GpuContext, spec: PipelineSpec): GPUComputePipeline {
  const key = keyOf(spec);
  let pipeline = context.pipelines.get(key);
  if (!pipeline) {
    pipeline = context.scoped('validation', `pipeline ${spec.label}`, () =>
      context.scoped('internal', `pipeline ${spec.label}`, () =>
        context.device.createComputePipeline(descriptor(context, spec)),
      ),
    );
    context.pipelines.set(key, pipeline);
  }
  return pipeline;
}

/** Compiles ahead of time without blocking. @throws HipError `internal` with the compiler's message */
export async function compilePipelines(context: GpuContext, specs: readonly PipelineSpec[]): Promise<void> {
  await Promise.all(
    specs.map(async (spec) => {
      const key = keyOf(spec);
      if (context.pipelines.has(key)) return;
      const pending = context.scoped('validation', `pipeline ${spec.label}`, () =>
        context.device.createComputePipelineAsync(descriptor(context, spec)),
      );
      const pipeline = await pending.catch(() => undefined);
      if (pipeline) context.pipelines.set(key, pipeline);
      else pipelineFor(context, spec);
    }),
  );
  await context.settled();
}
