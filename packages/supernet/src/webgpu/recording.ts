// Work on tfjs-webgpu that repeats, recorded once: its dispatches on buffers of their own, sent again without tfjs in between.
import * as tf from '@tensorflow/tfjs';
import { hostValues } from '../model/host-values.ts';
import { startRepeatedWork } from './dispatch-cache.ts';
import { copyOf } from './program.ts';
import { bufferOf, copyInto, encode } from './recording-backend.ts';
import type { Dispatch, NamedTensors, Program, RecordingBackend, Work } from './recording-backend.ts';
import type { BufferManager, GpuBuffer, RecordingPool } from './recording-pool.ts';

/** A tensor's extents and where its numbers lie. */
interface Place {
  readonly name: string;
  readonly buffer: GpuBuffer;
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
}

/** What a recording is made of. */
interface Recorded {
  readonly dispatches: readonly Dispatch[];
  /** Where inputs are copied to. */
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  /** Variables, and the data that each had. */
  readonly weights: readonly (readonly [tf.Variable, object])[];
  /** What it reads beside its inputs, and where that lay: weights, tables. */
  readonly read: ReadonlyMap<object, GpuBuffer>;
}

/** The dispatches of one run of some work, and the buffers that they are bound to. */
export class Recording {
  readonly #backend: RecordingBackend;
  readonly #recorded: Recorded;
  /** What it gave last. */
  #given: readonly object[] = [];

  constructor(backend: RecordingBackend, recorded: Recorded) {
    this.#backend = backend;
    this.#recorded = recorded;
  }

  get dispatches(): number {
    return this.#recorded.dispatches.length;
  }

  /** Buffers that stay its own: inputs and outputs. */
  get buffers(): readonly GpuBuffer[] {
    return [...this.#recorded.inputs, ...this.#recorded.outputs].map(({ buffer }) => buffer);
  }

  /** Whether all that it reads lies where it lay. */
  holds(): boolean {
    const { tensorMap } = this.#backend;
    const { weights, read } = this.#recorded;
    for (const [weight, dataId] of weights) if (weight.dataId !== dataId) return false;
    for (const [dataId, buffer] of read)
      if (!tensorMap.has(dataId) || tensorMap.get(dataId).resource !== buffer) return false;
    return true;
  }

  /** Whether all that it gave is disposed: the next time it writes there again. */
  isFree(): boolean {
    return !this.#given.some((dataId) => this.#backend.tensorMap.has(dataId));
  }

  /** The same dispatches on other inputs. */
  play(inputs: NamedTensors): Record<string, tf.Tensor> {
    const backend = this.#backend;
    const { inputs: slots, outputs, dispatches } = this.#recorded;
    for (const { name, buffer } of slots) copyInto(backend, inputs[name] as tf.Tensor, buffer);
    encode(backend, dispatches);
    const given = outputs.map(
      ({ name, buffer, shape, dtype }) =>
        [name, backend.createTensorFromGPUData({ buffer, zeroCopy: true }, shape, dtype)] as const,
    );
    this.#given = given.map(([, { dataId }]) => dataId);
    return Object.fromEntries(given);
  }
}

/**
 * Runs work once more beside what it gave, on buffers of a pool, and records it. What it makes meanwhile is disposed: nobody else's numbers depend
 * on it.
 *
 * @returns undefined where such work cannot be played: it gives what it was given, or writes to what is not its own
 */
export function record(
  backend: RecordingBackend,
  pool: RecordingPool,
  given: NamedTensors,
  weights: readonly tf.Variable[],
  work: Work,
): Recording | undefined {
  for (const tensor of Object.values(given)) {
    // Some look at the numbers that came from the host, which tfjs forgets when it uploads them.
    hostValues(tensor);
    // Before the pool takes over: inputs lie in tfjs' own buffers.
    bufferOf(backend, tensor);
  }
  const main = backend.bufferManager;
  backend.bufferManager = pool;
  const before = pool.count;
  const slots: { readonly place: Place; readonly tensor: tf.Tensor }[] = [];
  let outputs: Record<string, tf.Tensor> = {};
  let restore = (): void => undefined;
  try {
    for (const [name, tensor] of Object.entries(given)) slots.push(slotOf(backend, pool, name, tensor));
    const inside = new Set(slots.map(({ place }) => place.buffer));
    const { id: first } = backend.makeTensorInfo([1], 'float32').dataId as { id: number };
    const dispatches: Dispatch[] = [];
    const read = new Map<object, GpuBuffer>();
    let writesElsewhere = false;
    restore = listen(backend, pool, { main, first }, (program, group, output, inputs) => {
      dispatches.push({ pipeline: program.pipeline, group, workgroups: [...program.dispatch] });
      const target = backend.tensorMap.get(output.dataId).resource;
      writesElsewhere ||= !target || inside.has(target) || !pool.owns(target);
      for (const { dataId } of inputs) {
        const { resource } = backend.tensorMap.get(dataId);
        // What was there before: uploaded by now, or only here.
        const isOlder = (dataId as { id: number }).id < first;
        if (resource && !inside.has(resource) && isOlder) read.set(dataId, resource);
      }
    });
    outputs = work(Object.fromEntries(slots.map(({ place, tensor }) => [place.name, tensor])));
    const places: Place[] = [];
    for (const [name, tensor] of Object.entries(outputs)) {
      // One that is a constant of the host still goes up with the others.
      const buffer = bufferOf(backend, tensor);
      // Another recording writes there: what is given would not last until that one is played.
      if (pool.isOlder(buffer, before)) {
        outputs[name] = pool.afresh(() => copyOf(tensor));
        tensor.dispose();
      }
      const { dataId, shape, dtype } = outputs[name] as tf.Tensor;
      const own = backend.tensorMap.get(dataId).resource as GpuBuffer;
      if (!pool.owns(own) || inside.has(own)) return undefined;
      places.push({ name, buffer: own, shape, dtype });
    }
    if (writesElsewhere) return undefined;
    for (const { buffer } of [...places, ...slots.map(({ place }) => place)]) pool.pin(buffer);
    return new Recording(backend, {
      dispatches,
      inputs: slots.map(({ place }) => place),
      outputs: places,
      weights: weights.map((weight) => [weight, weight.dataId]),
      read,
    });
  } finally {
    restore();
    tf.dispose([...slots.map(({ tensor }) => tensor), ...Object.values(outputs)]);
    // What was disposed meanwhile goes back to the pool.
    startRepeatedWork();
    backend.bufferManager = main;
  }
}

/** A copy of an input where every later input will be copied to. */
function slotOf(backend: RecordingBackend, pool: RecordingPool, name: string, tensor: tf.Tensor) {
  const { shape, dtype } = tensor;
  const values = hostValues(tensor);
  const info = backend.makeTensorInfo(shape, dtype);
  const buffer = pool.afresh(() => bufferOf(backend, info));
  copyInto(backend, tensor, buffer);
  if (values) backend.tensorMap.get(info.dataId).values = values;
  return { place: { name, buffer, shape, dtype }, tensor: tf.engine().makeTensorFromTensorInfo(info) };
}

type Heard = (program: Program, group: object, output: tf.TensorInfo, inputs: readonly tf.TensorInfo[]) => void;

/**
 * Hears of every dispatch, and keeps what comes from the host meanwhile. Tensors of before `first` that only now go up (small ones, on which the
 * host has computed so far) outlast the recording: they get buffers of tfjs' own.
 *
 * @returns ends it
 */
function listen(
  backend: RecordingBackend,
  pool: RecordingPool,
  { main, first }: { readonly main: BufferManager; readonly first: number },
  heard: Heard,
): () => void {
  const { device } = backend;
  // As they are, not bound: they are put back.
  const createBindGroup = Reflect.get(device, 'createBindGroup') as RecordingBackend['device']['createBindGroup'];
  const recordAndSubmit = Reflect.get(backend, 'recordAndSubmit') as RecordingBackend['recordAndSubmit'];
  const uploadToGPU = Reflect.get(backend, 'uploadToGPU') as RecordingBackend['uploadToGPU'];
  let group: object = {};
  device.createBindGroup = (descriptor) => (group = createBindGroup.call(device, descriptor));
  backend.uploadToGPU = (dataId) => {
    const { resource, values } = backend.tensorMap.get(dataId);
    const isOlder = (dataId as { id: number }).id < first;
    if (isOlder) backend.bufferManager = main;
    uploadToGPU.call(backend, dataId);
    backend.bufferManager = pool;
    if (!resource && values && !isOlder) pool.pin(backend.tensorMap.get(dataId).resource as GpuBuffer);
  };
  backend.recordAndSubmit = (program, output, inputs, uniforms) => {
    recordAndSubmit.call(backend, program, output, inputs, uniforms);
    heard(program, group, output, inputs);
  };
  return () => {
    device.createBindGroup = createBindGroup;
    Object.assign(backend, { recordAndSubmit, uploadToGPU });
  };
}
