// Tensor data of the `cpu` and `wasm` backends without copies where the backend allows it.
import type { KernelBackend, TensorInfo } from '@tensorflow/tfjs';

/** What both backends offer beside tfjs' own interface. */
interface HeapBackend extends KernelBackend {
  /** wasm: a view of the tensor inside the backend's heap. */
  typedArrayFromHeap?(tensor: TensorInfo): Float32Array;
  makeOutput?(shape: number[], dtype: 'float32'): TensorInfo;
  makeTensorInfo?(shape: number[], dtype: 'float32', values: Float32Array): TensorInfo;
  readSync(dataId: object): Float32Array;
}

/** A tensor's float32 values: a view on wasm (valid until the backend allocates), the backend's own array on cpu. */
export function valuesOf(backend: unknown, tensor: TensorInfo): Float32Array {
  const heap = backend as HeapBackend;
  return heap.typedArrayFromHeap ? heap.typedArrayFromHeap(tensor) : heap.readSync(tensor.dataId);
}

/** A new tensor of the backend. */
export function makeTensor(backend: unknown, shape: number[], values: Float32Array): TensorInfo {
  const heap = backend as HeapBackend;
  if (heap.typedArrayFromHeap && heap.makeOutput) {
    const out = heap.makeOutput(shape, 'float32');
    heap.typedArrayFromHeap(out).set(values);
    return out;
  }
  return heap.makeTensorInfo!(shape, 'float32', values);
}
