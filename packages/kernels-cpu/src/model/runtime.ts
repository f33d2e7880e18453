// ModelRuntime: what a language model runs beside attention, on weights and activations that stay in WebAssembly memory.
import { HipError } from '@hip/mask-search';
import type { Engine } from '../runtime/engine.ts';
import { Activation } from './activation.ts';
import { checkCounts } from './check.ts';
import {
  factored,
  gate,
  norm,
  rotate,
  type ActivationFunction,
  type NormOptions,
  type RotateOptions,
} from './elements.ts';
import { embed } from './embed.ts';
import { ModelJob } from './job.ts';
import { Lease } from './lease.ts';
import { linears, type LinearOptions, type LinearTarget } from './linear.ts';
import { StoredMatrix, type MatrixOptions } from './matrix.ts';

/**
 * A model's operations. Every output may be an input. All throw HipError `invalid-shape` where an activation is shorter than its
 * shape, `internal` where one is disposed or another runtime's.
 */
export abstract class ModelRuntime {
  readonly #engine: Engine;
  #shared: ModelJob | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Room for a weight matrix [rows, columns], which stays as its file stores it.
   *
   * @throws HipError `unsupported` for other types, `invalid-shape`, `out-of-memory`
   */
  createMatrix(options: MatrixOptions): StoredMatrix {
    this.#engine.checkOpen();
    return new StoredMatrix(this.#engine, () => this.#job, options);
  }

  /** Room for `length` numbers, 0 at first. @throws HipError `invalid-shape`, `out-of-memory` */
  createActivation(length: number): Activation {
    this.#engine.checkOpen();
    checkCounts({ length });
    const lease = new Lease(this.#engine.heap, length * 4, 'use fewer rows at a time');
    const activation = new Activation(lease, 0, length);
    activation.view.fill(0);
    return activation;
  }

  /**
   * out [rows, matrix rows] = x [rows, matrix columns] · matrixᵀ (+ bias), or added to what `out` holds.
   *
   * Floats are multiplied in float32. Products of a few rows with blocks of integers take x as integers too, 16 bits with a scale for
   * 32: rounded to 2⁻¹⁶ of the largest of these. A row of x that holds NaN or infinity gives none but such outputs. `out` may not be x.
   */
  linear(
    out: Activation,
    x: Activation,
    matrix: StoredMatrix,
    { rows = 1, bias, add, apart }: LinearOptions = {},
  ): void {
    linears(this.#engine, this.#job, x, [{ out, matrix, bias, add }], rows, apart);
  }

  /**
   * {@link linear} of several matrices with the same rows, all threads working on all of them: queries, keys and values of a layer,
   * or gate and up.
   */
  linears(
    x: Activation,
    targets: readonly LinearTarget[],
    { rows = 1, apart }: Pick<LinearOptions, 'rows' | 'apart'> = {},
  ): void {
    linears(this.#engine, this.#job, x, targets, rows, apart);
  }

  /**
   * out [ids, matrix columns] = the matrix's rows of these numbers, as float32, times `scale`: bit for bit what the type stores.
   *
   * @throws HipError `invalid-shape` for an id that is no row
   */
  embed(
    out: Activation,
    matrix: StoredMatrix,
    ids: ArrayLike<number>,
    { scale = 1 }: { readonly scale?: number | undefined } = {},
  ): void {
    embed(this.#engine, this.#job, out, matrix, ids, scale);
  }

  /** out = x / √(mean of x² + ε) · weight, row by row of `width`: of tokens, or with rows = tokens · heads of heads. */
  rmsNorm(out: Activation, x: Activation, weight: Activation | undefined, options: NormOptions): void {
    norm(this.#engine, this.#job, false, { out, x, ...(weight && { weight }) }, options);
  }

  /** out = (x − mean) / √(variance + ε) · weight + bias, row by row of `width`. */
  layerNorm(
    out: Activation,
    x: Activation,
    weight: Activation | undefined,
    bias: Activation | undefined,
    options: NormOptions,
  ): void {
    norm(this.#engine, this.#job, true, { out, x, ...(weight && { weight }), ...(bias && { bias }) }, options);
  }

  /** Rotary position embedding of x [rows, heads, headDim], in place. @throws HipError `invalid-shape` for an odd `rotaryDim` */
  rotate(x: Activation, options: RotateOptions): void {
    rotate(this.#engine, this.#job, x, options);
  }

  /** out = f(gate) · up, or f(gate) where there is no `up`. @throws HipError `unsupported` for another function */
  gate(
    out: Activation,
    x: Activation,
    up: Activation | undefined,
    { length, activation }: { readonly length: number; readonly activation: ActivationFunction },
  ): void {
    gate(this.#engine, this.#job, activation, { out, x, second: up, length });
  }

  /** x = cap · tanh(x / cap), in place. @throws HipError `invalid-config` unless cap > 0 */
  softcap(x: Activation, { length, cap }: { readonly length: number; readonly cap: number }): void {
    factored(this.#engine, this.#job, 'softcap', 'cap', { out: x, x, length, factor: cap });
  }

  /** out = out + scale · x. */
  addScaled(
    out: Activation,
    x: Activation,
    { length, scale = 1 }: { readonly length: number; readonly scale?: number | undefined },
  ): void {
    factored(this.#engine, this.#job, 'addScaled', 'scale', { out, x, length, factor: scale });
  }

  /** x = factor · x, in place. */
  scale(x: Activation, { length, factor }: { readonly length: number; readonly factor: number }): void {
    factored(this.#engine, this.#job, 'scale', 'factor', { out: x, x, length, factor });
  }

  get #job(): ModelJob {
    if (this.#engine.closed)
      throw new HipError('internal', 'this runtime is closed: create another with createCpuRuntime()');
    return (this.#shared ??= new ModelJob(this.#engine));
  }
}
