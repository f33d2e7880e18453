// Weight matrices as their file stores them, in WebAssembly memory.
import { HipError } from '@hip/mask-search';
import type { Heap } from '../runtime/heap.ts';
import { Lease } from './lease.ts';
import { blockForm, type WeightType } from './types.ts';

/** Form of a {@link StoredMatrix}. */
export interface MatrixOptions {
  readonly type: WeightType;
  /** Outputs of the product. */
  readonly rows: number;
  /** Inputs of it: a multiple of the type's block. */
  readonly columns: number;
}

/**
 * A matrix [rows, columns] that is multiplied by activations, its rows blocks of the type one after the other, as GGUF and
 * safetensors store [out, in]. Made by {@link CpuRuntime.createMatrix}; its numbers are undefined until they are written.
 *
 * @example
 * ```ts
 * import { createCpuRuntime } from '@hip/kernels-cpu';
 * using cpu = await createCpuRuntime({ threads: 1 });
 * using w = cpu.createMatrix({ type: 'F32', rows: 2, columns: 3 });
 * w.write(0, new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer));
 * using x = cpu.createActivation(3);
 * using y = cpu.createActivation(2);
 * x.view.fill(1);
 * cpu.linear(y, x, w);
 * [...y.view]; // [6,15]
 * ```
 */
export class StoredMatrix {
  readonly type: WeightType;
  readonly rows: number;
  readonly columns: number;
  /** Bytes of WebAssembly memory. */
  readonly bytes: number;
  /** @internal */
  readonly form: ReturnType<typeof blockForm>;
  readonly #lease: Lease;

  /** @internal use {@link CpuRuntime.createMatrix} */
  constructor(heap: Heap, { type, rows, columns }: MatrixOptions) {
    for (const [name, value] of Object.entries({ rows, columns })) {
      if (!Number.isSafeInteger(value) || value < 1)
        throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
    }
    this.form = blockForm(type, columns);
    this.type = type;
    this.rows = rows;
    this.columns = columns;
    this.bytes = rows * this.form.rowBytes;
    this.#lease = new Lease(
      heap,
      this.bytes,
      `store ${rows}×${columns} in a smaller type than ${type}, or a smaller model`,
    );
  }

  /** @internal */
  get address(): number {
    return this.#lease.at('matrix');
  }

  /** @internal whether this is of that heap's memory */
  belongsTo(heap: Heap): boolean {
    return this.#lease.heap === heap;
  }

  /**
   * Writes whole rows as their file stores them.
   *
   * @throws HipError `invalid-shape` unless `bytes` are whole rows, inside the matrix; `internal` after {@link dispose}
   */
  write(firstRow: number, bytes: Uint8Array): void {
    const { rowBytes } = this.form;
    const count = bytes.byteLength / rowBytes;
    if (!Number.isInteger(count)) {
      const message = `bytes holds ${bytes.byteLength}: rows of ${this.columns} ${this.type} take ${rowBytes} each, give a multiple`;
      throw new HipError('invalid-shape', message, { name: 'bytes', value: bytes.byteLength, multiple: rowBytes });
    }
    if (!Number.isSafeInteger(firstRow) || firstRow < 0 || firstRow + count > this.rows) {
      const message = `rows ${firstRow} to ${firstRow + count} are written: the matrix has 0 to ${this.rows}`;
      throw new HipError('invalid-shape', message, { name: 'firstRow', value: firstRow, count, rows: this.rows });
    }
    new Uint8Array(this.#lease.heap.memory.buffer).set(bytes, this.address + firstRow * rowBytes);
  }

  /** Frees the memory. */
  dispose(): void {
    this.#lease.end();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
