// Which programs a training step on tfjs-webgpu spends the GPU's time in: every dispatch in a pass of its own, between two timestamps.
import * as tf from '@tensorflow/tfjs';
import { fineTuneSteps, type Dataset, type FineTuneOptions } from '@instatune/supernet';
import type { Task } from './tasks.ts';

/** Dispatches that one query set times: WebGPU allows 4,096 queries. */
const TIMED = 2048;
/** Steps before the clock: shaders are compiled, buffers made. */
const WARM = 8;
const BATCH = 128;
const SHOWN = 20;

interface Program {
  readonly shaderKey?: string;
  readonly constructor: { readonly name: string };
}

/** The part of tfjs-webgpu's backend used here. */
interface Backend {
  readonly device: GPUDevice;
  computePassEncoder: GPUComputePassEncoder | null;
  readonly commandEncoder: GPUCommandEncoder;
  endComputePassEncoder(): void;
  ensureCommandEncoderReady(): void;
  submitQueue(): void;
  recordAndSubmit(program: Program, ...rest: unknown[]): void;
}

interface ProfileOptions {
  readonly shared: string;
  readonly tasks: readonly Task[];
  /** Examples a step. @defaultValue 128 */
  readonly batch?: number;
  readonly emit: (row: Record<string, unknown>) => void;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Times one plain and one super-network step of every task. */
export async function profile({ shared, tasks, batch = BATCH, emit, log, signal }: ProfileOptions): Promise<void> {
  const backend = tf.backend() as unknown as Backend;
  if (tf.getBackend() !== 'webgpu' || !backend.device.features.has('timestamp-query')) {
    log('profile: needs tfjs-webgpu on a device with timestamp-query');
    return;
  }
  for (const task of tasks) {
    const data = await task.open(shared, 0);
    const host = await data.train.batch(Array.from({ length: batch }, (_, i) => (i * 37) % data.train.length));
    const fixed: Dataset = { length: batch, batch: () => host };
    const teacher = await data.loadModel();
    for (const strategy of ['plain', 'instatune'] as const) {
      const model = await data.loadModel();
      const timer = new ProgramTimer(backend);
      const options: FineTuneOptions = {
        strategy,
        steps: 3 * WARM,
        batchSize: batch,
        learningRate: 1e-6,
        signal,
        ...(strategy === 'instatune' && { gamma: 1, teacher }),
      };
      for await (const { step } of fineTuneSteps(model, fixed, options)) {
        if (step === WARM) timer.start();
      }
      const { programs, gpuMs } = await timer.stop();
      emit({ row: 'gpu profile', model: task.weights, what: strategy, batch, dispatches: timer.timed, gpuMs });
      for (const [program, { calls, ms }] of programs.slice(0, SHOWN))
        emit({
          row: 'gpu profile',
          model: task.weights,
          what: strategy,
          program,
          calls,
          gpuMs: Number(ms.toFixed(3)),
          share: Number((ms / gpuMs).toFixed(3)),
        });
      model.dispose();
    }
    teacher.dispose();
  }
}

class ProgramTimer {
  readonly #backend: Backend;
  readonly #original: Backend['recordAndSubmit'];
  readonly #queries: GPUQuerySet;
  readonly #names: string[] = [];

  constructor(backend: Backend) {
    this.#backend = backend;
    this.#original = backend.recordAndSubmit.bind(backend);
    this.#queries = backend.device.createQuerySet({ type: 'timestamp', count: 2 * TIMED });
  }

  /** Dispatches timed so far. */
  get timed(): number {
    return this.#names.length;
  }

  /** From here on each dispatch is timed, until there are enough. */
  start(): void {
    const backend = this.#backend;
    backend.recordAndSubmit = (program, ...rest) => {
      const index = this.#names.length;
      if (index < TIMED) {
        if (backend.computePassEncoder) backend.endComputePassEncoder();
        backend.ensureCommandEncoderReady();
        backend.computePassEncoder = backend.commandEncoder.beginComputePass({
          timestampWrites: {
            querySet: this.#queries,
            beginningOfPassWriteIndex: 2 * index,
            endOfPassWriteIndex: 2 * index + 1,
          },
        });
        this.#names.push((program.shaderKey ?? program.constructor.name).split(/[_;]/u)[0] || program.constructor.name);
      }
      this.#original(program, ...rest);
      if (index < TIMED && backend.computePassEncoder) backend.endComputePassEncoder();
    };
  }

  /** Programs by the time they took, longest first. */
  async stop(): Promise<{
    readonly programs: readonly (readonly [string, { readonly calls: number; readonly ms: number }])[];
    readonly gpuMs: number;
  }> {
    const backend = this.#backend;
    backend.recordAndSubmit = this.#original;
    const { device } = backend;
    const bytes = 16 * Math.max(1, this.timed);
    const resolved = device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const copy = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * Math.max(1, this.timed), resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, copy, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await copy.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(copy.getMappedRange());
    const sums = new Map<string, { calls: number; ms: number }>();
    let gpuMs = 0;
    for (const [index, name] of this.#names.entries()) {
      const ms = Number(times[2 * index + 1]! - times[2 * index]!) / 1e6;
      const sum = sums.get(name) ?? { calls: 0, ms: 0 };
      sums.set(name, { calls: sum.calls + 1, ms: sum.ms + ms });
      gpuMs += ms;
    }
    for (const buffer of [resolved, copy]) buffer.destroy();
    this.#queries.destroy();
    return { programs: [...sums].toSorted(([, a], [, b]) => b.ms - a.ms), gpuMs: Number(gpuMs.toFixed(3)) };
  }
}
