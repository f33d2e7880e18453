// Norms of rows, as passes of a call.
import { HipError } from '../../errors/gpu-errors.ts';
import type { Binding, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, checkNumber, floatsOf, rangeOf, writableOf } from '../check.ts';
import { spreadRows } from '../spread.ts';
import { normKernelCode, normParams, type NormKernel } from './norm-code.ts';

export interface NormOptions {
  /** `rms` divides by the root mean square; `layer` takes the mean away first. */
  readonly kind: 'rms' | 'layer';
  readonly rows: number;
  /** Numbers of a row. */
  readonly width: number;
  readonly epsilon: number;
  /** [width], f32. @defaultValue ones */
  readonly weight?: GpuTensor | undefined;
  /** [width], f32. @defaultValue zeros */
  readonly bias?: GpuTensor | undefined;
  /** The weight is 1 more than stored, as in Gemma. @defaultValue false */
  readonly unitOffset?: boolean | undefined;
}

/**
 * out = norm(x), or out += scale · norm(x) where `add` is given (a norm behind attention or FFN). x and out may be one tensor.
 *
 * Heads are normed each for itself with rows · heads as `rows` and the head's size as `width`.
 *
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`
 */
export function encodeNorm(
  call: GpuCall,
  { x, out }: { readonly x: GpuTensor; readonly out: GpuTensor },
  { kind, rows, width, epsilon, weight, bias, unitOffset = false }: NormOptions,
  {
    add = false,
    scale = 1,
    label = 'norm',
  }: { readonly add?: boolean; readonly scale?: number; readonly label?: string } = {},
): void {
  const { context } = call;
  checkCounts({ rows, width });
  checkNumber('epsilon', epsilon);
  checkNumber('scale', scale);
  const inPlace = x.buffer === out.buffer && (x.offset ?? 0) === (out.offset ?? 0);
  if (inPlace && (add || x.type !== out.type))
    throw new HipError('invalid-shape', 'x and out are one tensor: a norm that is added needs two', { add });
  const kernel: NormKernel = {
    x: x.type,
    out: out.type,
    centred: kind === 'layer',
    weight: weight !== undefined,
    bias: bias !== undefined,
    unitOffset,
    add,
    inPlace,
  };
  const target = writableOf(context, 'out', out, rows * width);
  const bindings: Binding[] = [{ uniform: normParams.pack({ rows, width, epsilon, scale }) }];
  if (!inPlace) bindings.push(rangeOf('x', x, rows * width));
  if (weight) bindings.push(floatsOf('weight', weight, width));
  if (bias) bindings.push(floatsOf('bias', bias, width));
  bindings.push(target);
  call.pass({
    label,
    pipeline: { label: 'norm', code: memoCode(normKernelCode, kernel) },
    bindings,
    workgroups: spreadRows(rows, context.limits),
  });
}
