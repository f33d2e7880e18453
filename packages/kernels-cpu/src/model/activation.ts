// Activations: float32 numbers that stay in WebAssembly memory between the steps of a model.
import { HipError } from '@hip/mask-search';
import { Lease } from './lease.ts';

/**
 * float32 numbers in the kernels' memory, made by {@link CpuRuntime.createActivation} and reused from step to step.
 *
 * @example
 * ```ts
 * import { createCpuRuntime } from '@hip/kernels-cpu';
 * using cpu = await createCpuRuntime({ threads: 1 });
 * using x = cpu.createActivation(4);
 * x.view.set([1, 2, 3, 4]);
 * console.log(x.slice(2, 2).view[0]); // => 3
 * ```
 */
export class Activation {
  readonly length: number;
  readonly #lease: Lease;
  readonly #from: number;

  /** @internal use {@link CpuRuntime.createActivation} */
  constructor(lease: Lease, from: number, length: number) {
    this.#lease = lease;
    this.#from = from;
    this.length = length;
  }

  /**
   * The numbers, to read and to write. Ask for it anew after other calls: memory that has grown lies elsewhere.
   *
   * @throws HipError `internal` after {@link dispose}
   */
  get view(): Float32Array {
    return this.#lease.heap.floats(this.address, this.length);
  }

  /** @internal */
  get address(): number {
    return this.#lease.at('activation') + this.#from * 4;
  }

  /**
   * `length` of the numbers, from number `from` on: the same memory, which {@link dispose} of either frees.
   *
   * @throws HipError `invalid-shape` unless they are inside
   */
  slice(from: number, length: number): Activation {
    const whole = Number.isSafeInteger(from) && Number.isSafeInteger(length);
    if (!whole || from < 0 || length < 1 || from + length > this.length) {
      const message = `numbers ${from} to ${from + length} are asked for: the activation holds 0 to ${this.length}`;
      throw new HipError('invalid-shape', message, { from, length, held: this.length });
    }
    return new Activation(this.#lease, this.#from + from, length);
  }

  /** Frees the memory. */
  dispose(): void {
    this.#lease.end();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal whether this is of that heap's memory */
  belongsTo(heap: Lease['heap']): boolean {
    return this.#lease.heap === heap;
  }
}
