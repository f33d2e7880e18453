// One dispatch of a product: its bindings, its uniform, and which kernel's text it runs.
import type { Binding, GpuCall } from '../../dispatch/call.ts';
import { memoCode } from '../../search/code/memo.ts';
import { floatsOf, rangeOf, writableOf } from '../check.ts';
import type { ActivationFunction } from '../rows/activation-code.ts';
import type { ProductMatrix } from '../weights/halves.ts';
import { productParams, type ProductKernel } from './kernel.ts';
import type { GpuLinearTarget, InputNorm, LinearInputs, ProductOptions } from './linear.ts';
import { matrixKernelCode, type MatrixKernel } from './matrix-code.ts';
import type { ProductDispatch, ProductVariant } from './plan.ts';
import { FEW_ROWS, rowKernelCode } from './row-code.ts';
import { tileKernelCode } from './tile-code.ts';

/** A target whose matrix may lie in scratch. */
export type MultipliedTarget = Omit<GpuLinearTarget, 'matrix'> & { readonly matrix: ProductMatrix };

/** What a dispatch multiplies, and how. */
export interface DispatchInputs extends Omit<LinearInputs, 'targets'> {
  readonly targets: readonly MultipliedTarget[];
  readonly gate: ActivationFunction | undefined;
  readonly variant: ProductVariant;
  readonly dispatch: ProductDispatch;
  readonly label: string;
  readonly matrices: ProductOptions['matrices'];
}

/** Adds a dispatch of a plan. */
export function encodeDispatch(
  call: GpuCall,
  { x, targets, rows, norm, gate, variant, dispatch, label, matrices }: DispatchInputs,
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
