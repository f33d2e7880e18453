// A call: kernels add passes, one submit runs them all. Uniforms of all passes travel in one buffer write.
import { HipError } from '@hip/mask-search';
import type { GpuContext } from './context.ts';
import { pipelineFor, type PipelineSpec } from './pipelines.ts';
import type { Timer } from './timer.ts';

const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
const UNIFORM = 0x40 | 0x08; // UNIFORM | COPY_DST

/** A range of a buffer. */
export interface BufferRange {
  readonly buffer: GPUBuffer;
  /** @defaultValue 0 */
  readonly offset?: number | undefined;
  /** Bytes. @defaultValue the rest of the buffer */
  readonly size?: number | undefined;
}

/** What stands at a binding: a buffer range, or the bytes of a uniform. */
export type Binding = BufferRange | { readonly uniform: ArrayBuffer };

/** One dispatch. */
export interface Pass {
  /** Names the pass in timings: `search/…`, `attention/…`. */
  readonly label: string;
  readonly pipeline: PipelineSpec;
  /** Bindings 0, 1, 2 … of group 0. */
  readonly bindings: readonly Binding[];
  readonly workgroups: readonly [x: number, y?: number, z?: number];
}

interface BoundPass {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

interface CopyStep {
  readonly copy: readonly [
    source: GPUBuffer,
    sourceOffset: number,
    target: GPUBuffer,
    targetOffset: number,
    bytes: number,
  ];
}

interface ClearStep {
  readonly clear: BufferRange;
}

/** Steps of a call that was prepared before. */
interface IncludedSteps {
  readonly included: BoundCall;
}

type Step = Pass | CopyStep | ClearStep | IncludedSteps;
type BoundStep = BoundPass | CopyStep | ClearStep;

/** What somebody wants to know of a call whose passes change a state of theirs. */
export interface CallWatcher {
  /** The passes have gone to the queue for the first time. */
  submitted(): void;
  /** They will not: the call was disposed, or refused. */
  abandoned(): void;
  /** The GPU refused them, which is known after the submit only. */
  failed(error: HipError): void;
}

/** Steps whose pipelines and bind groups are ready; can be submitted again and again while its buffers live. `GpuCall.prepare` makes it. */
export interface PreparedCall {
  /** @param timer receives the GPU time of each pass */
  submit(timer?: Timer): void;
  /** Gives scratch buffers back to the pool; a submit afterwards is an error. */
  release(): void;
}

export class GpuCall implements Disposable {
  readonly context: GpuContext;
  readonly #steps: Step[] = [];
  readonly #scratch: GPUBuffer[] = [];
  /** Scratch of sections that have ended. */
  readonly #spare = new Set<GPUBuffer>();
  readonly #watchers: CallWatcher[] = [];
  /** Scratch that the section of now has taken. */
  #section: GPUBuffer[] | undefined;

  /** @throws HipError `device-lost` */
  constructor(context: GpuContext) {
    context.assertAlive();
    this.context = context;
  }

  pass(pass: Pass): void {
    this.#steps.push(pass);
  }

  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void {
    this.#steps.push({ copy: [source, sourceOffset, target, targetOffset, bytes] });
  }

  /** Sets a range to zero. */
  clear(range: BufferRange): void {
    this.#steps.push({ clear: range });
  }

  /** Adds the steps of a call that was prepared before, which stays its maker's: it must not be released before this one is submitted. */
  include(prepared: PreparedCall): void {
    this.#steps.push({ included: prepared as BoundCall });
  }

  /** A storage buffer that lives until the call's submit (or a prepared call's release). Its content is undefined. */
  scratch(bytes: number, label: string): GPUBuffer {
    for (const spare of this.#spare) {
      if (spare.size < bytes || spare.size > Math.max(4 * bytes, 1024)) continue;
      this.#spare.delete(spare);
      this.#section?.push(spare);
      return spare;
    }
    const buffer = this.context.pool.take(bytes, STORAGE, label);
    this.#scratch.push(buffer);
    this.#section?.push(buffer);
    return buffer;
  }

  /**
   * Runs `action`, which adds passes that hand nothing on in scratch: what it takes serves later passes of the call again, as passes run in
   * order. So all layers of a model take no more scratch than one.
   */
  section<T>(action: () => T): T {
    const outer = this.#section;
    const own: GPUBuffer[] = [];
    this.#section = own;
    try {
      return action();
    } finally {
      this.#section = outer;
      for (const buffer of own) this.#spare.add(buffer);
    }
  }

  /** Tells what becomes of the call. */
  watch(watcher: CallWatcher): void {
    this.#watchers.push(watcher);
  }

  /** Gives back the scratch of a call that was not made, and takes back what its passes would have changed. */
  [Symbol.dispose](): void {
    abandon(this.#watchers.splice(0));
    for (const buffer of this.#scratch.splice(0)) this.context.pool.give(buffer);
  }

  /** One command buffer, one submit. No readback. */
  submit(timer?: Timer): void {
    const prepared = this.prepare();
    try {
      prepared.submit(timer);
    } finally {
      prepared.release();
    }
  }

  /** Compiles and binds without running. A call that is refused is disposed. */
  prepare(): PreparedCall {
    const watchers = [...this.#watchers];
    const prepare = (): PreparedCall => this.#prepare(watchers);
    try {
      return watchers.length === 0 ? prepare() : this.context.watch((error) => fail(watchers, error), prepare);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #prepare(watchers: readonly CallWatcher[]): PreparedCall {
    const { context } = this;
    const { device } = context;
    const passes = this.#steps.filter((step): step is Pass => 'pipeline' in step);
    const alignment = context.limits.minUniformBufferOffsetAlignment;
    const uniforms = passes.flatMap(({ bindings }) =>
      bindings.filter((binding) => 'uniform' in binding).map(({ uniform }) => uniform),
    );
    const slot = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
    const block = new Uint8Array(uniforms.reduce((total, { byteLength }) => total + slot(byteLength), 0));
    const uniformBuffer = block.length > 0 ? context.pool.take(block.length, UNIFORM, 'uniforms') : undefined;
    if (uniformBuffer) this.#scratch.push(uniformBuffer);
    let cursor = 0;
    const place = (bytes: ArrayBuffer): GPUBufferBinding => {
      block.set(new Uint8Array(bytes), cursor);
      const binding = { buffer: uniformBuffer!, offset: cursor, size: bytes.byteLength };
      cursor += slot(bytes.byteLength);
      return binding;
    };
    // One error scope for all: its message names the binding group's label.
    const bound = context.scoped('validation', 'the bindings of a call', () => this.#bind(place));
    if (uniformBuffer) device.queue.writeBuffer(uniformBuffer, 0, block);
    // The prepared call's from here on.
    const scratch = this.#scratch.splice(0);
    this.#watchers.length = 0;
    return new BoundCall(context, bound, scratch, watchers);
  }

  /** @param place puts a uniform's bytes where the pass finds them */
  #bind(place: (bytes: ArrayBuffer) => GPUBufferBinding): readonly BoundStep[] {
    const { context } = this;
    const { device } = context;
    return this.#steps.flatMap((step): BoundStep | readonly BoundStep[] => {
      if ('included' in step) {
        step.included.assertBound();
        return step.included.steps;
      }
      if (!('pipeline' in step)) return step;
      const pipeline = pipelineFor(context, step.pipeline);
      const entries = step.bindings.map((binding, index) => ({
        binding: index,
        resource: 'uniform' in binding ? place(binding.uniform) : bufferBinding(binding),
      }));
      const group = device.createBindGroup({ label: step.label, layout: layoutOf(pipeline), entries });
      const [x, y = 1, z = 1] = step.workgroups;
      const most = context.limits.maxComputeWorkgroupsPerDimension;
      if (Math.max(x, y, z) > most)
        throw new HipError(
          'internal',
          `${step.label} dispatches ${x}×${y}×${z} workgroups, the device takes ${most}: its planner must split`,
          { x, y, z },
        );
      return { label: step.label, pipeline, group, workgroups: [x, y, z] };
    });
  }
}

const layouts = new WeakMap<GPUComputePipeline, GPUBindGroupLayout>();

/** A pipeline's layout, which is a call into the implementation each time it is asked. */
function layoutOf(pipeline: GPUComputePipeline): GPUBindGroupLayout {
  let layout = layouts.get(pipeline);
  if (!layout) layouts.set(pipeline, (layout = pipeline.getBindGroupLayout(0)));
  return layout;
}

/** What {@link GpuCall.prepare} gives. */
class BoundCall implements PreparedCall {
  readonly context: GpuContext;
  readonly steps: readonly BoundStep[];
  readonly #scratch: readonly GPUBuffer[];
  readonly watchers: readonly CallWatcher[];
  #released = false;
  /** It was submitted, in an error scope. */
  #checked = false;

  constructor(
    context: GpuContext,
    steps: readonly BoundStep[],
    scratch: readonly GPUBuffer[],
    watchers: readonly CallWatcher[],
  ) {
    this.context = context;
    this.steps = steps;
    this.#scratch = scratch;
    this.watchers = watchers;
  }

  get checked(): boolean {
    return this.#checked;
  }

  assertBound(): void {
    if (this.#released) throw new HipError('internal', 'the prepared call was released: prepare a new one');
  }

  submit(timer?: Timer): void {
    submitTogether([this], timer);
  }

  /** The first submit is over. */
  wasSubmitted(): void {
    if (!this.#checked) for (const watcher of this.watchers) watcher.submitted();
    this.#checked = true;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (!this.#checked) abandon(this.watchers);
    for (const buffer of this.#scratch) this.context.pool.give(buffer);
  }
}

/**
 * Submits prepared calls of one context in order, as one command buffer: a part that is bound once serves many submits, beside parts that
 * change.
 *
 * @param calls - at least one
 * @param timer - receives the GPU time of each pass
 * @throws HipError `device-lost`, `internal` for a call that was released
 */
export function submitTogether(calls: readonly PreparedCall[], timer?: Timer): void {
  const bound = calls as readonly BoundCall[];
  const { context } = bound[0]!;
  context.assertAlive();
  for (const call of bound) call.assertBound();
  const steps = bound.map((call) => call.steps);
  const watchers = bound.flatMap((call) => call.watchers);
  const scoped = (): void => context.scoped('validation', 'a command buffer', () => encode(context, steps, timer));
  if (watchers.length > 0) context.watch((error) => fail(watchers, error), scoped);
  // What was valid once is valid again, unless somebody destroyed a buffer: who must know pays for an error scope each time.
  else if (bound.every(({ checked }) => checked) && !timer && !context.watched) encode(context, steps, undefined);
  else scoped();
  for (const call of bound) call.wasSubmitted();
}

function fail(watchers: readonly CallWatcher[], error: HipError): void {
  for (const watcher of watchers) watcher.failed(error);
}

/** The last change is taken back first. */
function abandon(watchers: readonly CallWatcher[]): void {
  for (const watcher of watchers.toReversed()) watcher.abandoned();
}

function bufferBinding({ buffer, offset, size }: BufferRange): GPUBufferBinding {
  return { buffer, ...(offset === undefined ? {} : { offset }), ...(size === undefined ? {} : { size }) };
}

function encode(context: GpuContext, parts: readonly (readonly BoundStep[])[], timer: Timer | undefined): void {
  const encoder = context.device.createCommandEncoder();
  let open: GPUComputePassEncoder | undefined;
  const end = (): void => {
    open?.end();
    open = undefined;
  };
  for (const step of parts.flat()) {
    if ('copy' in step) {
      end();
      encoder.copyBufferToBuffer(...step.copy);
    } else if ('clear' in step) {
      end();
      encoder.clearBuffer(step.clear.buffer, step.clear.offset, step.clear.size);
    } else {
      // Timestamps stand at the borders of a pass, so a timed call gives each dispatch its own.
      const writes = timer?.next(step.label);
      if (writes) end();
      open ??= encoder.beginComputePass(writes ? { label: step.label, timestampWrites: writes } : {});
      open.setPipeline(step.pipeline);
      open.setBindGroup(0, step.group);
      open.dispatchWorkgroups(...step.workgroups);
      if (writes) end();
    }
  }
  end();
  timer?.resolve(encoder);
  context.device.queue.submit([encoder.finish()]);
}
