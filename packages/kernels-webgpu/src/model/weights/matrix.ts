// Weight matrices in GPU memory, in the types that their files store, on as many buffers as a binding's limit asks for.
import { HipError, limitError } from '../../errors/gpu-errors.ts';
import type { GpuContext } from '../../dispatch/context.ts';
import { createBuffer } from '../../dispatch/pool.ts';
import { checkCounts } from '../check.ts';
import { liesAsStored, packRows, rowLayout, type RowLayout } from './layout.ts';
import type { WeightType } from './types.ts';

/** Form of a {@link GpuMatrix}. */
export interface GpuMatrixOptions {
  readonly type: WeightType;
  /** Outputs of the product. */
  readonly rows: number;
  /** Inputs of it: a multiple of the type's block. */
  readonly columns: number;
  /** Names its buffers in messages. @defaultValue 'matrix' */
  readonly label?: string | undefined;
}

/** Rows that lie in one buffer. */
export interface MatrixPart {
  readonly buffer: GPUBuffer;
  readonly firstRow: number;
  readonly rows: number;
}

/** Rows of each buffer, the last with what is left. */
export interface MatrixPlan {
  readonly layout: RowLayout;
  readonly partRows: readonly number[];
  /** Of all buffers. */
  readonly bytes: number;
}

const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
/** Bytes that are packed and written at a time. */
const PIECE_BYTES = 8 * 2 ** 20;

/**
 * What a matrix takes on a device, without one.
 *
 * @throws HipError `invalid-shape`, `unsupported` for a type that is none, or a row beyond a binding
 */
export function planMatrix(
  { type, rows, columns }: GpuMatrixOptions,
  limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number },
): MatrixPlan {
  checkCounts({ rows, columns });
  const layout = rowLayout(type, columns);
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const step = Math.floor(most / layout.rowBytes);
  if (step < 1)
    throw limitError(
      'maxStorageBufferBindingSize',
      layout.rowBytes,
      most,
      `a row of ${columns} ${type} needs one binding: use a smaller type, or a device with a larger limit`,
    );
  const partRows = Array.from({ length: Math.ceil(rows / step) }, (_, i) => Math.min(step, rows - i * step));
  return { layout, partRows, bytes: rows * layout.rowBytes };
}

/**
 * A matrix [rows, columns] that is multiplied by activations: rows of blocks of the type, as GGUF and safetensors store [out, in].
 * Made by {@link createGpuMatrix}; its numbers are 0 until they are written.
 */
export class GpuMatrix implements Disposable {
  readonly type: WeightType;
  readonly rows: number;
  readonly columns: number;
  /** Bytes of GPU memory: those of the file, rows rounded up to a multiple of 16. */
  readonly bytes: number;
  readonly context: GpuContext;
  /** @internal */
  readonly layout: RowLayout;
  readonly #parts: readonly MatrixPart[];
  #disposed = false;

  /** @internal use {@link createGpuMatrix} */
  constructor(context: GpuContext, options: GpuMatrixOptions) {
    const { layout, partRows, bytes } = planMatrix(options, context.limits);
    const { type, rows, columns, label = 'matrix' } = options;
    this.type = type;
    this.rows = rows;
    this.columns = columns;
    this.bytes = bytes;
    this.context = context;
    this.layout = layout;
    let firstRow = 0;
    this.#parts = partRows.map((count) => {
      const part = { buffer: createBuffer(context, count * layout.rowBytes, STORAGE, label), firstRow, rows: count };
      firstRow += count;
      return part;
    });
  }

  /** @internal @throws HipError `internal` after {@link dispose} */
  get parts(): readonly MatrixPart[] {
    if (this.#disposed) throw new HipError('internal', 'this matrix is disposed: create another', { rows: this.rows });
    return this.#parts;
  }

  /**
   * Writes whole rows as their file stores them. Returns before the GPU has them; what is submitted later reads them.
   *
   * @throws HipError `invalid-shape` unless `bytes` are whole rows, inside the matrix; `device-lost`, `internal` after
   * {@link dispose}
   */
  write(firstRow: number, bytes: Uint8Array): void {
    const { layout, parts } = this;
    const { fileBytes, rowBytes } = layout;
    const count = bytes.byteLength / fileBytes;
    if (!Number.isInteger(count)) {
      const message = `bytes holds ${bytes.byteLength}: rows of ${this.columns} ${this.type} take ${fileBytes} each, give a multiple`;
      throw new HipError('invalid-shape', message, { name: 'bytes', value: bytes.byteLength, multiple: fileBytes });
    }
    if (!Number.isSafeInteger(firstRow) || firstRow < 0 || firstRow + count > this.rows) {
      const message = `rows ${firstRow} to ${firstRow + count} are written: the matrix has 0 to ${this.rows}`;
      throw new HipError('invalid-shape', message, { name: 'firstRow', value: firstRow, count, rows: this.rows });
    }
    this.context.assertAlive();
    const { queue } = this.context.device;
    const stored = liesAsStored(layout);
    const step = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
    for (const part of parts) {
      const end = Math.min(firstRow + count, part.firstRow + part.rows);
      for (let row = Math.max(firstRow, part.firstRow); row < end; row += step) {
        const rows = Math.min(step, end - row);
        const source = bytes.subarray((row - firstRow) * fileBytes, (row - firstRow + rows) * fileBytes);
        const packed = stored ? (source as Uint8Array<ArrayBuffer>) : packRows(layout, source);
        queue.writeBuffer(part.buffer, (row - part.firstRow) * rowBytes, packed);
      }
    }
  }

  /** Frees the memory. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { buffer } of this.#parts) buffer.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Allocates a matrix.
 *
 * @throws HipError `invalid-shape`, `unsupported`; what the GPU has no memory for is thrown by the next call, and by
 * `context.settled()`
 *
 * @example
 * ```ts
 * import { contextOf, GpuCall, readTensor, requestHipDevice, uploadTensor, emptyTensor } from '@hip/kernels-webgpu';
 * import { createGpuMatrix, encodeLinear } from '@hip/kernels-webgpu/model';
 *
 * const context = contextOf(await requestHipDevice(await navigator.gpu.requestAdapter()));
 * using matrix = createGpuMatrix(context, { type: 'F32', rows: 2, columns: 3 });
 * matrix.write(0, new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer));
 * const x = uploadTensor(context, Float32Array.of(1, 1, 1), 'f32');
 * const out = emptyTensor({ context, type: 'f32', length: 2 });
 * const call = new GpuCall(context);
 * encodeLinear(call, { x, targets: [{ matrix, out }], rows: 1 });
 * call.submit();
 * console.log([...(await readTensor(context, out))]); // => [ 6, 15 ]
 * ```
 */
export function createGpuMatrix(context: GpuContext, options: GpuMatrixOptions): GpuMatrix {
  context.assertAlive();
  return new GpuMatrix(context, options);
}
