// A threaded matrix product in place of tfjs-wasm's single-threaded one, where it is faster; everything else goes to the original.
import * as tf from '@tensorflow/tfjs';
import type { CpuRuntime } from '../runtime/runtime.ts';
import { makeTensors } from './backend-data.ts';

/** Below this many multiply-adds the copies cost more than the threads save. */
const SMALLEST_PRODUCT = 1 << 20;
/** A row tile holds 4 rows: fewer rows waste it. */
const FEWEST_ROWS = 8;

interface MatmulArguments {
  readonly inputs: {
    readonly a: tf.TensorInfo;
    readonly b: tf.TensorInfo;
    readonly bias?: tf.TensorInfo;
    readonly preluActivationWeights?: tf.TensorInfo;
  };
  readonly backend: unknown;
  readonly attrs: { readonly transposeA: boolean; readonly transposeB: boolean; readonly activation?: string };
}

const originals = new Map<string, tf.KernelFunc>();

/**
 * A kernel that says so does batches and transposed factors at full speed: @instatune/supernet then asks for them as they are, where
 * it would feed tfjs-wasm's own kernel one plain product at a time.
 */
interface BatchedKernel {
  readonly batched: true;
}

/** Replaces `BatchMatMul` and `_FusedMatMul` of tfjs-wasm. A second call changes only the runtime. */
export function registerMatmul(runtime: () => CpuRuntime): void {
  for (const kernelName of ['BatchMatMul', '_FusedMatMul']) {
    const original = tf.getKernel(kernelName, 'wasm');
    if (!original || originals.has(kernelName)) continue;
    originals.set(kernelName, original.kernelFunc);
    tf.unregisterKernel(kernelName, 'wasm');
    tf.registerKernel({
      kernelName,
      backendName: 'wasm',
      ...(original.setupFunc ? { setupFunc: original.setupFunc } : {}),
      kernelFunc: Object.assign(
        (args: Parameters<tf.KernelFunc>[0]) => {
          const product = plan(args as unknown as MatmulArguments);
          const cpu = runtime();
          // tfjs' own products go on when the runtime has ended.
          return product && !cpu.closed ? product(cpu) : originals.get(kernelName)!(args);
        },
        { batched: true } satisfies BatchedKernel,
      ),
    });
  }
}

/** The product as a call of the runtime, or undefined where the original kernel should do it. */
function plan({ inputs, backend, attrs }: MatmulArguments): ((runtime: CpuRuntime) => tf.TensorInfo) | undefined {
  const { a, b, bias } = inputs;
  const { transposeA, transposeB, activation } = attrs;
  if (a.dtype !== 'float32' || b.dtype !== 'float32' || (activation && activation !== 'linear')) return undefined;
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number];
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const n = transposeB ? bRows : bColumns;
  const product = (dims: readonly number[]): number => dims.reduce((total, dim) => total * dim, 1);
  const batchA = product(a.shape.slice(0, -2));
  const batchB = product(b.shape.slice(0, -2));
  const sharedB = batchB === 1;
  const sameBatch = a.shape.slice(0, -2).join() === b.shape.slice(0, -2).join();
  if (!sharedB && !sameBatch) return undefined;
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== n)) return undefined;
  // Several batches against one matrix are one tall product.
  const [batch, rows] = sharedB && !transposeA ? [1, batchA * m] : [batchA, m];
  if (batch * rows * n * k < SMALLEST_PRODUCT || rows < FEWEST_ROWS) return undefined;
  const lead = a.shape.length >= b.shape.length ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
  return (runtime) => {
    const [tensor] = makeTensors(backend, bias ? [a, b, bias] : [a, b], [[...lead, m, n]], (inputs, [out]) => {
      const [left, right, added] = inputs as [Float32Array, Float32Array, Float32Array | undefined];
      runtime.matmul(left, right, { m: rows, n, k, batch, sharedB, transposeA, transposeB, bias: added, out });
    });
    return tensor!;
  };
}
