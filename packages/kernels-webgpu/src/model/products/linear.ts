// Products of activations with stored matrices, as passes of a call.
import { HipError } from '../../errors/gpu-errors.ts';
import { withTier, type Tier } from '../../device/features.ts';
import type { DeviceLimits } from '../../device/limits.ts';
import type { Binding, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import type { MatrixDialect } from '../../attention/matrix-dialect.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, checkNumber, floatsOf, rangeOf, writableOf } from '../check.ts';
import { checkActivation, type ActivationFunction } from '../rows/activation-code.ts';
import { encodeGate } from '../rows/elements.ts';
import { encodeNorm, type NormOptions } from '../rows/norm.ts';
import { scratchTensor } from '../scratch.ts';
import { encodeHalves, fitsHalves, type ProductMatrix } from '../weights/halves.ts';
import type { GpuMatrix } from '../weights/matrix.ts';
import { productParams, type ProductKernel } from './kernel.ts';
import { matrixKernelCode, type MatrixKernel } from './matrix-code.ts';
import { planProduct, type ProductDispatch, type ProductVariant } from './plan.ts';
import { FEW_ROWS, rowKernelCode } from './row-code.ts';
import { tileKernelCode } from './tile-code.ts';

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
 * agree bit for bit. On the `subgroup-matrix` tier, more than eight rows are multiplied as f16 (unless x and the weights are f32).
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

/** A target whose matrix may lie in scratch. */
type MultipliedTarget = Omit<GpuLinearTarget, 'matrix'> & { readonly matrix: ProductMatrix };

function encodeProducts(
  call: GpuCall,
  { x, targets, rows, norm }: LinearInputs,
  options: ProductOptions,
  gate?: ActivationFunction,
): void {
  const { context } = call;
  const { tier = context.profile.tier, limits = context.limits, label = 'linear' } = options;
  checkCounts({ rows });
  const { columns } = targets[0]!.matrix;
  rangeOf('x', x, rows * columns);
  for (const [index, { matrix, out, scale = 1 }] of targets.entries()) {
    if (matrix.columns !== columns) {
      const message = `matrix ${index} has ${matrix.columns} columns, the first ${columns}: give matrices of one x`;
      throw new HipError('invalid-shape', message, { index, columns: matrix.columns, expected: columns });
    }
    if (matrix.context !== context)
      throw new HipError('internal', `matrix ${index} is another device's: create it with the call's context`, {
        index,
      });
    writableOf(context, 'out', out, rows * matrix.rows);
    checkNumber('scale', scale);
  }
  const plannedOf = (of: readonly { readonly matrix: ProductMatrix; readonly bias?: GpuTensor | undefined }[]) =>
    of.map(({ matrix, bias }) => ({
      layout: matrix.layout,
      parts: matrix.parts.map((part) => part.rows),
      bias: bias !== undefined,
    }));
  const planned = plannedOf(targets);
  const profile = withTier(context.profile, tier);
  const fused =
    norm?.kind === 'rms' ? { weight: norm.weight !== undefined, unitOffset: norm.unitOffset ?? false } : undefined;
  const request = { rows, x: x.type, targets: planned, gate, norm: fused };
  let plan = planProduct(request, profile, limits, options.variant);
  let input = x;
  const inside = norm !== undefined && fused !== undefined && plan.variant.kind === 'rows';
  if (norm && !inside) {
    // Who keeps weights in f32 wants products of f32.
    const isExact = targets.every(({ matrix }) => matrix.type === 'F32');
    input = scratchTensor(call, context.profile.shaderF16 && !isExact ? 'f16' : 'f32', rows * columns, 'normed rows');
    encodeNorm(call, { x, out: input }, { ...norm, rows, width: columns });
    plan = planProduct({ ...request, x: input.type, norm: undefined }, profile, limits, options.variant);
  }
  let multiplied: readonly MultipliedTarget[] = targets;
  const pays = !options.variant && isWorthHalving(targets, rows, limits);
  if (plan.variant.kind === 'matrices' && (options.halves ?? pays)) {
    multiplied = targets.map((target) =>
      target.matrix.type === 'F16' ? target : { ...target, matrix: encodeHalves(call, target.matrix) },
    );
    plan = planProduct({ rows, x: input.type, targets: plannedOf(multiplied), gate }, profile, limits, options.variant);
  }
  const apart = plan.gateApart
    ? targets.map((target, t) =>
        scratchTensor(call, target.out.type, rows * target.matrix.rows, t === 0 ? 'gate' : 'up'),
      )
    : undefined;
  const outs = multiplied.map((target, t) => ({ ...target, out: apart?.[t] ?? target.out }));
  for (const dispatch of plan.dispatches)
    encodeDispatch(call, {
      x: input,
      targets: outs,
      rows,
      norm: inside ? norm : undefined,
      gate: plan.gateApart ? undefined : gate,
      variant: plan.variant,
      dispatch,
      label,
      matrices: options.matrices,
    });
  if (apart && gate)
    encodeGate(
      call,
      { x: apart[0]!, up: apart[1]!, out: targets[0]!.out },
      { length: rows * targets[0]!.matrix.rows, activation: gate },
    );
}

/** Rows from which dequantising every weight once, apart, costs less than for each tile of rows. */
const HALVED_ROWS = 512;

function isWorthHalving(targets: readonly GpuLinearTarget[], rows: number, limits: DeviceLimits): boolean {
  if (rows < HALVED_ROWS || targets.every(({ matrix }) => matrix.type === 'F16')) return false;
  return targets.every(({ matrix }) => fitsHalves(matrix, limits));
}

function encodeDispatch(
  call: GpuCall,
  {
    x,
    targets,
    rows,
    norm,
    gate,
    variant,
    dispatch,
    label,
    matrices,
  }: Omit<LinearInputs, 'targets'> & {
    readonly targets: readonly MultipliedTarget[];
    readonly gate: ActivationFunction | undefined;
    readonly variant: ProductVariant;
    readonly dispatch: ProductDispatch;
    readonly label: string;
    readonly matrices: ProductOptions['matrices'];
  },
): void {
  const { context } = call;
  const parts = dispatch.parts.map(({ target, part }) => {
    const whole = targets[target]!;
    return { ...whole, ...whole.matrix.parts[part]! };
  });
  const { layout, columns } = parts[0]!.matrix;
  const kernel: ProductKernel = {
    layout,
    x: x.type,
    targets: parts.map(({ bias, add = false, out }) => ({ bias: bias !== undefined, add, out: out.type })),
    gate,
  };
  const four = (of: (part: (typeof parts)[number], index: number) => number): number[] =>
    Array.from({ length: 4 }, (_, i) => (parts[i] ? of(parts[i], i) : 0));
  const uniform = productParams.pack({
    starts: four((_, i) => dispatch.starts[i]!),
    outputs: four((part) => part.rows),
    offsets: four((part) => part.firstRow),
    strides: four((part) => part.matrix.rows),
    scales: four((part) => part.scale ?? 1),
    rows,
    epsilon: norm?.epsilon ?? 0,
  });
  const bindings: Binding[] = [{ uniform }, rangeOf('x', x, rows * columns)];
  if (norm?.weight) bindings.push(floatsOf('the norm’s weight', norm.weight, columns));
  for (const [t, { buffer, matrix, bias, out }] of parts.entries()) {
    bindings.push({ buffer });
    if (bias) bindings.push(floatsOf('bias', bias, matrix.rows));
    if (!gate || t === 1) bindings.push(writableOf(context, 'out', out, rows * matrix.rows));
  }
  const wide = parts.every(({ matrix, firstRow, rows: count }) => (matrix.rows | firstRow | count) % 4 === 0);
  call.pass({
    label: `${label}/${variant.kind}`,
    pipeline: { label: `${label} ${layout.type}`, code: codeOf(kernel, variant, { rows, norm, matrices, wide }) },
    bindings,
    workgroups: dispatch.workgroups,
  });
}

const nativeKernel = (kernel: MatrixKernel): string => matrixKernelCode(kernel);

function codeOf(
  kernel: ProductKernel,
  variant: ProductVariant,
  {
    rows,
    norm,
    matrices,
    wide,
  }: {
    readonly rows: number;
    readonly norm: InputNorm | undefined;
    readonly matrices: ProductOptions['matrices'];
    readonly wide: boolean;
  },
): string {
  switch (variant.kind) {
    case 'rows': {
      const own = norm && { weight: norm.weight !== undefined, unitOffset: norm.unitOffset ?? false };
      const grouped = rows > FEW_ROWS;
      return memoCode(rowKernelCode, { ...kernel, ...variant, rows: Math.min(rows, FEW_ROWS), grouped, norm: own });
    }
    case 'tiles':
      return memoCode(tileKernelCode, kernel);
    default:
      return matrices
        ? matrixKernelCode({ ...kernel, ...variant, wide }, matrices())
        : memoCode(nativeKernel, { ...kernel, ...variant, wide });
  }
}
