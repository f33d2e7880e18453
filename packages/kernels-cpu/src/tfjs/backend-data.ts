// Tensor data of the `cpu` and `wasm` backends without copies beyond the one into and the one out of the kernels' memory.
import type { KernelBackend, TensorInfo } from '@tensorflow/tfjs';

/** What both backends offer beside tfjs' own interface. */
interface HeapBackend extends KernelBackend {
  /** wasm: a view of the tensor inside the backend's heap. */
  typedArrayFromHeap?(tensor: TensorInfo): Float32Array;
  makeOutput?(shape: number[], dtype: 'float32'): TensorInfo;
  makeTensorInfo?(shape: number[], dtype: 'float32', values: Float32Array): TensorInfo;
  readSync(dataId: object): Float32Array;
}

interface Output {
  readonly tensor: TensorInfo;
  /** Where its values go. */
  readonly values: Float32Array;
}

/**
 * Makes float32 tensors out of others. `fill` gets views of wasm's heap, or the cpu backend's own arrays. Outputs are made before any
 * view is taken, since making one may move the heap; they are disposed of when `fill` throws.
 */
export function makeTensors(
  backend: unknown,
  inputs: readonly TensorInfo[],
  shapes: readonly (readonly number[])[],
  fill: (inputs: readonly Float32Array[], outputs: readonly Float32Array[]) => void,
): TensorInfo[] {
  const heap = backend as HeapBackend;
  const made = shapes.map((shape) => makeOutput(heap, [...shape]));
  const read = (tensor: TensorInfo): Float32Array => heap.typedArrayFromHeap?.(tensor) ?? heap.readSync(tensor.dataId);
  try {
    fill(
      inputs.map(read),
      made.map(({ tensor, values }) => heap.typedArrayFromHeap?.(tensor) ?? values),
    );
  } catch (error) {
    for (const { tensor } of made) heap.disposeData(tensor.dataId);
    throw error;
  }
  return made.map(({ tensor }) => tensor);
}

function makeOutput(heap: HeapBackend, shape: number[]): Output {
  // The cpu backend has a makeOutput of another signature.
  if (heap.typedArrayFromHeap) return { tensor: heap.makeOutput!(shape, 'float32'), values: new Float32Array() };
  const values = new Float32Array(shape.reduce((size, extent) => size * extent, 1));
  return { tensor: heap.makeTensorInfo!(shape, 'float32', values), values };
}
