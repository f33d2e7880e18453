// The numbers of tfjs-wasm tensors where they lie: one loop over them does what a chain of operations reads and writes memory ten times for.
import * as tf from '@tensorflow/tfjs';

/** The part of tfjs-wasm's backend used here; structural, so that the backend stays an optional peer. */
interface HeapBackend {
  typedArrayFromHeap?(tensor: tf.TensorInfo): Float32Array;
  makeOutput(shape: readonly number[], dtype: 'float32'): tf.TensorInfo;
  /** 0 where the numbers lie on another backend. */
  refCount(dataId: object): number;
}

/** How many tensors share the numbers of this one on tfjs-wasm's heap; 0 where they lie elsewhere. */
function holders({ dataId }: tf.Tensor): number {
  if (tf.getBackend() !== 'wasm') return 0;
  const backend = tf.backend() as unknown as HeapBackend;
  return backend.typedArrayFromHeap ? backend.refCount(dataId) : 0;
}

/** Whether float32 tensors lie on this backend's heap and nobody else holds them: they may be written where they lie. */
export function isOwnOnHeap(...tensors: readonly tf.Tensor[]): boolean {
  return tensors.every((tensor) => holders(tensor) === 1);
}

/** Whether a float32 tensor's numbers lie on this backend's heap, to be read. */
export function isOnHeap(tensor: tf.Tensor): boolean {
  return holders(tensor) > 0;
}

/** A tensor for numbers to be written to. */
function emptyOnHeap<R extends tf.Rank>(shape: readonly number[]): tf.Tensor<R> {
  const backend = tf.backend() as unknown as HeapBackend;
  return tf.engine().makeTensorFromTensorInfo(backend.makeOutput(shape, 'float32')) as tf.Tensor<R>;
}

/** A view of a float32 tensor; valid until the next tensor is made, which may move the heap. */
export function heapView(tensor: tf.Tensor): Float32Array {
  return (tf.backend() as unknown as HeapBackend).typedArrayFromHeap!(tensor);
}

/** Σx² in float64. */
export function sumOfSquares(x: tf.Tensor): number {
  const values = heapView(x);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return sum;
}

/** Sum over the rows of x [N, D] → [D], in float64. */
export function sumRowsOnHeap(x: tf.Tensor2D): tf.Tensor1D {
  const [rows, columns] = x.shape;
  const total = emptyOnHeap<tf.Rank.R1>([columns]);
  const values = heapView(x);
  const sums = new Float64Array(columns);
  const fours = rows - (rows % 4);
  for (let row = 0; row < fours; row += 4) {
    const [a, b, c, d] = [row * columns, (row + 1) * columns, (row + 2) * columns, (row + 3) * columns];
    for (let i = 0; i < columns; i++) {
      sums[i]! += values[a + i]! + values[b + i]! + (values[c + i]! + values[d + i]!);
    }
  }
  for (let at = fours * columns; at < values.length; at += columns) {
    for (let i = 0; i < columns; i++) sums[i]! += values[at + i]!;
  }
  heapView(total).set(sums);
  return total;
}

/** Numbers of one AdamW update. */
export interface AdamWNumbers {
  readonly beta1: number;
  readonly beta2: number;
  /** Factor on the gradient. */
  readonly scale: number;
  /** Learning rate of this weight, √c₂/c₁ included. */
  readonly rate: number;
  /** ε·√c₂ */
  readonly floor: number;
  /** Factor on the weight. */
  readonly keep: number;
}

/** What one AdamW update reads and writes. */
export interface AdamWTensors {
  readonly weight: tf.Variable;
  /** Written in place, like the second moment. */
  readonly first: tf.Tensor;
  readonly second: tf.Tensor;
  readonly gradient: tf.Tensor;
}

/** One AdamW step of a weight in one pass. The weight gets new memory: XNNPACK keeps a packed copy of what it multiplied by. */
export function adamwOnHeap(tensors: AdamWTensors, { beta1, beta2, scale, rate, floor, keep }: AdamWNumbers): void {
  const { weight, first, second, gradient } = tensors;
  const updated = emptyOnHeap(weight.shape);
  const [w, m, v, g, out] = [weight, first, second, gradient, updated].map(heapView) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  for (let i = 0; i < w.length; i++) {
    const slope = (g[i] as number) * scale;
    const mean = beta1 * (m[i] as number) + (1 - beta1) * slope;
    const square = beta2 * (v[i] as number) + (1 - beta2) * slope * slope;
    m[i] = mean;
    v[i] = square;
    out[i] = keep * (w[i] as number) - (rate * mean) / (Math.sqrt(square) + floor);
  }
  weight.assign(updated);
  updated.dispose();
}
