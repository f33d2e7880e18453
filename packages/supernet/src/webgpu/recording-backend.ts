// The part of tfjs-webgpu's backend that recorded work needs: its encoder, its buffers, and where a tensor's numbers lie.
import type * as tf from '@tensorflow/tfjs';
import type { BufferManager, GpuBuffer } from './recording-pool.ts';

/** Tensors by name. */
export type NamedTensors = Readonly<Record<string, tf.Tensor>>;

/** Work on named tensors that makes named tensors of its own. */
export type Work = (inputs: NamedTensors) => Record<string, tf.Tensor>;

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

/** A program that tfjs dispatches. */
export interface Program {
  readonly pipeline: object;
  readonly dispatch: readonly [number, number, number];
}

interface TensorData {
  resource?: GpuBuffer | null;
  values?: unknown;
  external?: boolean;
}

/** tfjs-webgpu's backend. */
export interface RecordingBackend {
  readonly device: {
    createBindGroup(descriptor: object): object;
    pushErrorScope(filter: 'out-of-memory' | 'validation'): void;
    popErrorScope(): Promise<{ readonly message: string } | null>;
  };
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

/** Where a tensor's numbers lie; those of the host go up. */
export function bufferOf(backend: RecordingBackend, { dataId }: tf.Tensor | tf.TensorInfo): GpuBuffer {
  backend.uploadToGPU(dataId);
  return backend.tensorMap.get(dataId).resource as GpuBuffer;
}

/** Copies a tensor's numbers into a buffer of their size, in the order of the commands around it. */
export function copyInto(backend: RecordingBackend, tensor: tf.Tensor, target: GpuBuffer): void {
  const source = bufferOf(backend, tensor);
  if (source === target) return;
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  (backend.commandEncoder as Encoder).copyBufferToBuffer(source, 0, target, 0, target.size);
  backend.commandQueueOwnedIds.add(tensor.dataId);
}

/** One dispatch as it is encoded. */
export interface Dispatch {
  readonly pipeline: object;
  readonly group: object;
  readonly workgroups: readonly [number, number, number];
}

/** Dispatches of one submission. */
const SUBMITTED_TOGETHER = 128;

/** Encodes dispatches behind what tfjs has encoded so far. */
export function encode(backend: RecordingBackend, dispatches: readonly Dispatch[]): void {
  let last: object | undefined;
  for (const { pipeline, group, workgroups } of dispatches) {
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
}
