// Products of activations with stored matrices, as passes of a call.
import { HipError } from '../../errors/gpu-errors.ts';
import type { Tier } from '../../device/features.ts';
import type { DeviceLimits } from '../../device/limits.ts';
import type { GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import type { MatrixDialect } from '../../attention/matrix-dialect.ts';
import { checkActivation, type ActivationFunction } from '../rows/activation-code.ts';
import type { NormOptions } from '../rows/norm.ts';
import type { GpuMatrix } from '../weights/matrix.ts';
import { encodeProducts } from './encode.ts';
import type { ProductVariant } from './plan.ts';

/** A matrix and its bias. */
export interface GpuLinear {
  /** [outputs, columns] */
  readonly matrix: GpuMatrix;
  /** [outputs], f32 */
  readonly bias?: GpuTensor | undefined;
}

/** One of the matrices that {@link encodeLinear} multiplies by the same rows. */
export interface GpuLinearTarget extends GpuLinear {
  /** [rows, outputs], f32 or f16; not x. */
  readonly out: GpuTensor;
  /** The product is added to what the output holds. @defaultValue false */
  readonly add?: boolean | undefined;
  /** Of the product and its bias, before it is added. @defaultValue 1 */
  readonly scale?: number | undefined;
}

/** A norm of the rows of x on the way into the product. */
export type InputNorm = Omit<NormOptions, 'rows' | 'width'>;

/** How products are computed, for tests and measurements. */
export interface ProductOptions {
  /** A lower tier than the device has. */
  readonly tier?: Tier | undefined;
  /** How the work is cut, instead of the planner's. */
  readonly variant?: ProductVariant | undefined;
  /** Limits to stay below. @defaultValue the device's */
  readonly limits?: DeviceLimits | undefined;
  /** How the matrix kernel spells its matrices. @defaultValue Dawn's */
  readonly matrices?: (() => MatrixDialect) | undefined;
  /** Weights are made halves once, before the product. @defaultValue where that pays */
  readonly halves?: boolean | undefined;
  /** Prefix of the passes' labels. @defaultValue 'linear' */
  readonly label?: string | undefined;
}

export interface LinearInputs {
  /** [rows, columns], f32 or f16. */
  readonly x: GpuTensor;
  readonly targets: readonly GpuLinearTarget[];
  readonly rows: number;
  readonly norm?: InputNorm | undefined;
}

/**
 * out = norm(x) · matrixᵀ + bias for each target; several matrices of one type share a dispatch. Sums are f32 in one order: two runs
 * agree bit for bit. On the `subgroup-matrix` tier, more than `SHORT_ROWS` rows are multiplied as f16 (unless x and the weights are f32).
 *
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`; `internal` for a disposed matrix
 */
export function encodeLinear(call: GpuCall, inputs: LinearInputs, options: ProductOptions = {}): void {
  const { targets } = inputs;
  if (targets.length === 0) throw new HipError('invalid-shape', 'no matrix is given: give at least one', {});
  encodeProducts(call, inputs, options);
}

export interface GatedLinearInputs extends Omit<LinearInputs, 'targets'> {
  readonly gate: GpuLinear;
  readonly up: GpuLinear;
  readonly activation: ActivationFunction;
  /** [rows, outputs] */
  readonly out: GpuTensor;
}

/**
 * out = f(norm(x) · gateᵀ) · (norm(x) · upᵀ), in one dispatch where rows are few and the matrices of one type.
 *
 * @throws HipError as {@link encodeLinear}
 */
export function encodeGatedLinear(call: GpuCall, inputs: GatedLinearInputs, options: ProductOptions = {}): void {
  const { x, gate, up, activation, out, rows, norm } = inputs;
  checkActivation(activation);
  if (gate.matrix.rows !== up.matrix.rows) {
    const message = `gate has ${gate.matrix.rows} outputs, up ${up.matrix.rows}: give matrices of one size`;
    throw new HipError('invalid-shape', message, { gate: gate.matrix.rows, up: up.matrix.rows });
  }
  const targets = [
    { ...gate, out },
    { ...up, out },
  ];
  encodeProducts(call, { x, targets, rows, norm }, options, activation);
}
