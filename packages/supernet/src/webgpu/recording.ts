// Work on tfjs-webgpu that repeats: its dispatches are recorded once, on buffers of their own, and sent again without tfjs in between.
import * as tf from '@tensorflow/tfjs';
import { trimUnusedBuffers } from './pool.ts';
import { copyOf } from './program.ts';
import { reusesBindings, startRepeatedWork } from './dispatch-cache.ts';
import { RecordingPool } from './recording-pool.ts';
import type { BufferManager, GpuBuffer } from './recording-pool.ts';
import { hostValues } from '../model/host-values.ts';

/** Tensors by name. */
export type NamedTensors = Readonly<Record<string, tf.Tensor>>;

/** Times that work runs as it is before it is recorded: tables are made. */
const BEFORE = 1;
/** Recordings of one recorder: each holds what it gives. */
const MOST = 24;
/** Bytes of their buffers beyond which nothing more is recorded. */
const MOST_BYTES = 16 * 2 ** 30;
/** Times that work is recorded anew because something that it reads has moved. */
const ATTEMPTS = 4;
/** Dispatches of one submission. */
const SUBMITTED_TOGETHER = 128;

/** The part of a WebGPU encoder used here. */
interface Pass {
  setPipeline(pipeline: object): void;
  setBindGroup(index: number, group: object): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
}

interface Encoder {
  beginComputePass(): Pass;
  copyBufferToBuffer(from: GpuBuffer, fromByte: number, to: GpuBuffer, toByte: number, bytes: number): void;
}

type Program = { readonly pipeline: object; readonly dispatch: readonly [number, number, number] };
type TensorData = { resource?: GpuBuffer | null; values?: unknown; external?: boolean };

/** The part of tfjs-webgpu's backend used here. */
interface Backend {
  readonly device: { createBindGroup(descriptor: object): object };
  readonly tensorMap: { get(dataId: object): TensorData; has(dataId: object): boolean };
  readonly commandQueueOwnedIds: WeakSet<object>;
  bufferManager: BufferManager;
  commandEncoder: Encoder | null;
  computePassEncoder: Pass | null;
  dispatchCountInPass: number;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo;
  recordAndSubmit(program: Program, output: tf.TensorInfo, inputs: readonly tf.TensorInfo[], uniforms: unknown): void;
  createTensorFromGPUData(
    data: { readonly buffer: GpuBuffer; readonly zeroCopy: true },
    shape: readonly number[],
    dtype: tf.DataType,
  ): tf.Tensor;
}

interface Dispatch {
  readonly pipeline: object;
  readonly group: object;
  readonly workgroups: readonly [number, number, number];
}

/** A tensor's extents and where its numbers lie. */
interface Place {
  readonly name: string;
  readonly buffer: GpuBuffer;
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
}

interface Recording {
  readonly dispatches: readonly Dispatch[];
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  /** Buffers of the inputs that are its own: others are what another recording gives. */
  readonly slots: readonly GpuBuffer[];
  /** Variables, and the data that each had. */
  readonly weights: readonly (readonly [tf.Variable, object])[];
  /** What it reads beside its inputs, and where that lay: weights, tables. */
  readonly read: ReadonlyMap<object, GpuBuffer>;
  /** What it gave last. */
  given: readonly object[];
}

/**
 * Runs work that depends on named tensors and on weights alone. What comes again under the same key is recorded and then played: the same
 * dispatches on the same buffers, so the same numbers, for the host's time of encoding them. What is given lies in buffers of the recording, which
 * the next time overwrites: as long as any of it is not disposed, the work runs as it is.
 *
 * Work that is recorded must send nothing from the host that differs from time to time, and read nothing back.
 */
export class Recorder {
  readonly #recordings = new Map<string, Recording>();
  readonly #seen = new Map<string, number>();
  readonly #attempts = new Map<string, number>();
  #pool: RecordingPool | undefined;
  #backend: Backend | undefined;
  #isRecording = false;

  /** Recordings, and how often one was played. */
  readonly statistics = { recorded: 0, played: 0 };

  /**
   * @param key says all that the work depends on beside the values of `inputs`, their shapes included
   * @param weights variables that it reads: those that were given other tensors are read anew
   * @param work makes tensors of its own, from what it is given in place of `inputs`
   */
  run(
    key: string,
    inputs: NamedTensors,
    weights: readonly tf.Variable[],
    work: (inputs: NamedTensors) => Record<string, tf.Tensor>,
  ): Record<string, tf.Tensor> {
    if (this.#isRecording || !this.#canRecord()) return work(inputs);
    startRepeatedWork();
    const found = this.#recordings.get(key);
    if (found && this.#holds(found)) return this.#isFree(found) ? this.#play(found, inputs) : work(inputs);
    if (found) this.#drop(key, found);
    const seen = (this.#seen.get(key) ?? 0) + 1;
    if (this.#seen.size < 1000 || seen > 1) this.#seen.set(key, seen);
    const attempts = this.#attempts.get(key) ?? 0;
    const isFull = this.#recordings.size >= MOST || (this.#pool?.numBytesAllocated ?? 0) > MOST_BYTES;
    if (seen <= BEFORE || isFull || attempts >= ATTEMPTS) return work(inputs);
    this.#attempts.set(key, attempts + 1);
    return this.#record(key, inputs, weights, work);
  }

  /** Frees the recordings. What they gave must not be used any more. */
  dispose(): void {
    for (const { slots, outputs } of this.#recordings.values())
      for (const buffer of [...slots, ...outputs.map((place) => place.buffer)]) buffer.destroy();
    this.#recordings.clear();
    this.#pool?.dispose();
    this.#pool = undefined;
  }

  /** Forgets a recording. Its buffers come back, unless somebody still holds what it gave. */
  #drop(key: string, recording: Recording): void {
    this.#recordings.delete(key);
    const { slots, outputs } = recording;
    const own = this.#isFree(recording) ? [...slots, ...outputs.map(({ buffer }) => buffer)] : slots;
    for (const buffer of own) this.#pool?.unpin(buffer);
  }

  #canRecord(): boolean {
    // Uniforms that are not kept would be overwritten.
    if (!reusesBindings()) return false;
    const backend = tf.backend() as unknown as Backend;
    if (this.#backend !== backend || !this.#pool) {
      this.dispose();
      this.#backend = backend;
      this.#pool = new RecordingPool(backend.bufferManager);
    }
    return true;
  }

  /** Whether all that it reads lies where it lay. */
  #holds({ weights, read }: Recording): boolean {
    const { tensorMap } = this.#backend as Backend;
    for (const [weight, dataId] of weights) if (weight.dataId !== dataId) return false;
    for (const [dataId, buffer] of read)
      if (!tensorMap.has(dataId) || tensorMap.get(dataId).resource !== buffer) return false;
    return true;
  }

  #isFree({ given }: Recording): boolean {
    const { tensorMap } = this.#backend as Backend;
    return !given.some((dataId) => tensorMap.has(dataId));
  }

  #play(recording: Recording, inputs: NamedTensors): Record<string, tf.Tensor> {
    const backend = this.#backend as Backend;
    for (const { name, buffer } of recording.inputs) this.#copy(inputs[name] as tf.Tensor, buffer);
    let last: object | undefined;
    for (const { pipeline, group, workgroups } of recording.dispatches) {
      backend.ensureCommandEncoderReady();
      if (!backend.computePassEncoder) {
        backend.computePassEncoder = (backend.commandEncoder as Encoder).beginComputePass();
        last = undefined;
      }
      const pass = backend.computePassEncoder;
      if (pipeline !== last) pass.setPipeline(pipeline);
      last = pipeline;
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
      if (++backend.dispatchCountInPass < SUBMITTED_TOGETHER) continue;
      backend.endComputePassEncoder();
      backend.submitQueue();
    }
    this.statistics.played++;
    const outputs = recording.outputs.map(
      ({ name, buffer, shape, dtype }) =>
        [name, backend.createTensorFromGPUData({ buffer, zeroCopy: true }, shape, dtype)] as const,
    );
    recording.given = outputs.map(([, { dataId }]) => dataId);
    return Object.fromEntries(outputs);
  }

  #copy(tensor: tf.Tensor, target: GpuBuffer): void {
    const backend = this.#backend as Backend;
    const source = this.#bufferOf(tensor);
    if (source === target) return;
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    (backend.commandEncoder as Encoder).copyBufferToBuffer(source, 0, target, 0, target.size);
    backend.commandQueueOwnedIds.add(tensor.dataId);
  }

  #bufferOf({ dataId }: tf.Tensor | tf.TensorInfo): GpuBuffer {
    const backend = this.#backend as Backend;
    backend.uploadToGPU(dataId);
    return backend.tensorMap.get(dataId).resource as GpuBuffer;
  }

  #record(
    key: string,
    given: NamedTensors,
    weights: readonly tf.Variable[],
    work: (inputs: NamedTensors) => Record<string, tf.Tensor>,
  ): Record<string, tf.Tensor> {
    const [backend, pool] = [this.#backend as Backend, this.#pool as RecordingPool];
    for (const tensor of Object.values(given)) {
      // Some look at the numbers that came from the host, which tfjs forgets when it uploads them.
      hostValues(tensor);
      // Before the pool takes over: inputs lie in tfjs' own buffers.
      this.#bufferOf(tensor);
    }
    const main = backend.bufferManager;
    backend.bufferManager = pool;
    const before = pool.count;
    const slots = this.#slots(given);
    const { id: first } = backend.makeTensorInfo([1], 'float32').dataId as { id: number };
    const inside = new Set(slots.map(({ place }) => place.buffer));
    const dispatches: Dispatch[] = [];
    const read = new Map<object, GpuBuffer>();
    const restore = this.#listen((program, group, tensors) => {
      dispatches.push({ pipeline: program.pipeline, group, workgroups: [...program.dispatch] });
      for (const { dataId } of tensors) {
        const { resource } = backend.tensorMap.get(dataId);
        // What was there before: uploaded by now, or only here.
        const isOlder = (dataId as { id: number }).id < first;
        if (resource && !inside.has(resource) && isOlder) read.set(dataId, resource);
      }
    });
    let outputs: Record<string, tf.Tensor>;
    this.#isRecording = true;
    try {
      outputs = work(Object.fromEntries(slots.map(({ place, tensor }) => [place.name, tensor])));
      for (const [name, tensor] of Object.entries(outputs)) {
        // One that is a constant of the host still goes up with the others.
        const buffer = this.#bufferOf(tensor);
        // Another recording writes there: what is given would not last until that one is played.
        if (!pool.isOlder(buffer, before)) continue;
        outputs[name] = pool.afresh(() => copyOf(tensor));
        tensor.dispose();
      }
    } finally {
      this.#isRecording = false;
      restore();
      for (const { tensor, isCopy } of slots) if (isCopy) tensor.dispose();
      // What was disposed meanwhile goes back to the pool.
      startRepeatedWork();
      backend.bufferManager = main;
    }
    const places: Place[] = [];
    for (const [name, { dataId, shape, dtype }] of Object.entries(outputs)) {
      const data = backend.tensorMap.get(dataId);
      // What is none of the recording's own cannot be given again.
      if (!data.resource || !pool.owns(data.resource) || inside.has(data.resource)) return outputs;
      places.push({ name, buffer: data.resource, shape, dtype });
    }
    for (const { buffer } of places) pool.pin(buffer);
    for (const { dataId } of Object.values(outputs)) backend.tensorMap.get(dataId).external = true;
    this.#recordings.set(key, {
      dispatches,
      inputs: slots.map(({ place }) => place),
      outputs: places,
      slots: slots.filter(({ isCopy }) => isCopy).map(({ place }) => place.buffer),
      weights: weights.map((weight) => [weight, weight.dataId]),
      read,
      given: Object.values(outputs).map(({ dataId }) => dataId),
    });
    this.statistics.recorded++;
    // Nobody asks tfjs' own buffers for this work's activations any more.
    trimUnusedBuffers(0);
    return outputs;
  }

  /** Copies of inputs where every later input will be copied to; what another recording gives stays where it is. */
  #slots(given: NamedTensors): { readonly place: Place; readonly tensor: tf.Tensor; readonly isCopy: boolean }[] {
    const [backend, pool] = [this.#backend as Backend, this.#pool as RecordingPool];
    return Object.entries(given).map(([name, tensor]) => {
      const { shape, dtype } = tensor;
      const source = this.#bufferOf(tensor);
      if (pool.owns(source)) return { place: { name, buffer: source, shape, dtype }, tensor, isCopy: false };
      const values = hostValues(tensor);
      const info = backend.makeTensorInfo(shape, dtype);
      const buffer = pool.afresh(() => this.#bufferOf(info));
      pool.pin(buffer);
      this.#copy(tensor, buffer);
      if (values) backend.tensorMap.get(info.dataId).values = values;
      return {
        place: { name, buffer, shape, dtype },
        tensor: tf.engine().makeTensorFromTensorInfo(info),
        isCopy: true,
      };
    });
  }

  /** Hears of every dispatch, and keeps what comes from the host meanwhile. @returns ends it */
  #listen(heard: (program: Program, group: object, tensors: readonly tf.TensorInfo[]) => void): () => void {
    const [backend, pool] = [this.#backend as Backend, this.#pool as RecordingPool];
    const { device } = backend;
    // As they are, not bound: they are put back.
    const createBindGroup = Reflect.get(device, 'createBindGroup') as Backend['device']['createBindGroup'];
    const recordAndSubmit = Reflect.get(backend, 'recordAndSubmit') as Backend['recordAndSubmit'];
    const uploadToGPU = Reflect.get(backend, 'uploadToGPU') as Backend['uploadToGPU'];
    let group: object = {};
    device.createBindGroup = (descriptor) => (group = createBindGroup.call(device, descriptor));
    backend.uploadToGPU = (dataId) => {
      const { resource, values } = backend.tensorMap.get(dataId);
      uploadToGPU.call(backend, dataId);
      if (!resource && values) pool.pin(backend.tensorMap.get(dataId).resource as GpuBuffer);
    };
    backend.recordAndSubmit = (program, output, inputs, uniforms) => {
      recordAndSubmit.call(backend, program, output, inputs, uniforms);
      heard(program, group, [output, ...inputs]);
    };
    return () => {
      device.createBindGroup = createBindGroup;
      Object.assign(backend, { recordAndSubmit, uploadToGPU });
    };
  }
}

let current: Recorder | undefined;

/** Runs synchronous work whose {@link played} parts a recorder plays. */
export function withRecorder<T>(recorder: Recorder | undefined, run: () => T): T {
  const before = current;
  current = recorder;
  try {
    return run();
  } finally {
    current = before;
  }
}

/** {@link Recorder.run} of the recorder in charge, by the inputs' shapes too; the work itself where there is none. */
export function played(
  key: readonly unknown[],
  inputs: NamedTensors,
  weights: readonly tf.Variable[],
  work: (inputs: NamedTensors) => Record<string, tf.Tensor>,
): Record<string, tf.Tensor> {
  if (!current) return work(inputs);
  const shapes = Object.entries(inputs).map(([name, { shape }]) => `${name}:${shape.join()}`);
  return current.run(JSON.stringify([...key, shapes]), inputs, weights, work);
}
