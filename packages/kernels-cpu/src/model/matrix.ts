// Weight matrices in WebAssembly memory, in the types that their files store.
import { HipError } from '@hip/mask-search';
import type { Engine } from '../runtime/engine.ts';
import { Scope, type Heap } from '../runtime/heap.ts';
import { MODEL_JOB, setTarget, type ModelJob } from './job.ts';
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

/** Rows that lie together: assembly/model/pack.ts. */
const GROUP = 8;
/** Bytes that are written at a time. */
const STAGING_BYTES = 4 * 2 ** 20;

/**
 * A matrix [rows, columns] that is multiplied by activations: rows of blocks of the type, as GGUF and safetensors store [out, in].
 * Made by {@link CpuRuntime.createMatrix}; its numbers are undefined until they are written.
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
 * console.log([...y.view]); // => [ 6, 15 ]
 * ```
 */
export class StoredMatrix {
  readonly type: WeightType;
  readonly rows: number;
  readonly columns: number;
  /** Bytes of WebAssembly memory: those of the file, rows rounded up to a multiple of eight. */
  readonly bytes: number;
  /** @internal */
  readonly form: ReturnType<typeof blockForm>;
  readonly #lease: Lease;
  readonly #engine: Engine;
  readonly #job: () => ModelJob;
  #special = false;

  /** @internal use {@link CpuRuntime.createMatrix} */
  constructor(engine: Engine, job: () => ModelJob, { type, rows, columns }: MatrixOptions) {
    for (const [name, value] of Object.entries({ rows, columns })) {
      if (!Number.isSafeInteger(value) || value < 1)
        throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
    }
    this.form = blockForm(type, columns);
    this.type = type;
    this.rows = rows;
    this.columns = columns;
    this.bytes = Math.ceil(rows / GROUP) * GROUP * this.form.rowBytes;
    this.#engine = engine;
    this.#job = job;
    this.#lease = new Lease(
      engine.heap,
      this.bytes,
      `store ${rows}×${columns} in a smaller type than ${type}, or a smaller model`,
    );
    // What is not written of the last group is read with the rest.
    const last = GROUP * this.form.rowBytes;
    new Uint8Array(engine.heap.memory.buffer, this.address + this.bytes - last, last).fill(0);
  }

  /** @internal */
  get address(): number {
    return this.#lease.at('matrix');
  }

  /** @internal whether it holds halves that are infinite or NaN */
  get special(): boolean {
    return this.#special;
  }

  /** @internal whether this is of that heap's memory */
  belongsTo(heap: Heap): boolean {
    return this.#lease.heap === heap;
  }

  /**
   * Writes whole rows as their file stores them.
   *
   * @throws HipError `invalid-shape` unless `bytes` are whole rows, inside the matrix; `out-of-memory`, `internal` after
   * {@link dispose}
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
    const step = Math.max(1, Math.min(count, Math.floor(STAGING_BYTES / rowBytes)));
    const { heap } = this.#engine;
    const job = this.#job();
    using scope = new Scope(heap);
    const staging = scope.allocate(step * rowBytes, 'write fewer rows at a time');
    for (let row = 0; row < count; row += step) {
      const rows = Math.min(step, count - row);
      new Uint8Array(heap.memory.buffer).set(bytes.subarray(row * rowBytes, (row + rows) * rowBytes), staging);
      job.begin(0);
      setTarget(job, 0, { BLOCKS: this.address, TYPE: this.form.code, ROW_BYTES: rowBytes });
      job.set(MODEL_JOB.X, staging);
      job.set(MODEL_JOB.FIRST_ROW, firstRow + row);
      job.set(MODEL_JOB.FLAG, 0);
      this.#engine.run('packMatrix', job.at, rows);
      if (job.get(MODEL_JOB.FLAG) !== 0) this.#special = true;
    }
  }

  /** Frees the memory. */
  dispose(): void {
    this.#lease.end();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
