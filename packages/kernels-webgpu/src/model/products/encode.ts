// A product from its inputs to its passes: what is normed on the way or before, which weights are made halves first, where the gate goes.
import { HipError } from '../../errors/gpu-errors.ts';
import { withTier } from '../../device/features.ts';
import type { DeviceLimits } from '../../device/limits.ts';
import type { GpuCall } from '../../dispatch/call.ts';
import { checkCounts, checkNumber, rangeOf, writableOf } from '../check.ts';
import type { ActivationFunction } from '../rows/activation-code.ts';
import { encodeGate } from '../rows/elements.ts';
import { encodeNorm } from '../rows/norm.ts';
import { scratchTensor } from '../scratch.ts';
import { encodeHalves, fitsHalves } from '../weights/halves.ts';
import { encodeDispatch, type MultipliedTarget } from './dispatch.ts';
import type { GpuLinearTarget, LinearInputs, ProductOptions } from './linear.ts';
import { planProduct, type PlannedTarget } from './plan.ts';

/** Checks what is given, and adds the norm, the dispatches of the plan, and the gate where it goes apart. */
export function encodeProducts(
  call: GpuCall,
  { x, targets, rows, norm }: LinearInputs,
  options: ProductOptions,
  gate?: ActivationFunction,
): void {
  const { context } = call;
  const { tier = context.profile.tier, limits = context.limits, label = 'linear' } = options;
  checkProducts(call, { x, targets, rows });
  const { columns } = targets[0]!.matrix;
  const planned = plannedOf(targets);
  const profile = withTier(context.profile, tier);
  const fused =
    norm?.kind === 'rms' ? { weight: norm.weight !== undefined, unitOffset: norm.unitOffset ?? false } : undefined;
  const request = { rows, x: x.type, targets: planned, gate, norm: fused };
  let plan = planProduct(request, profile, limits, options.variant);
  let input = x;
  const inside = norm !== undefined && fused !== undefined && plan.variant.kind === 'rows';
  if (norm && !inside) {
    // Few rows are multiplied as f32; who keeps weights in f32 wants products of f32, too.
    const isExact = plan.variant.kind === 'rows' || targets.every(({ matrix }) => matrix.type === 'F32');
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

function plannedOf(targets: readonly Pick<MultipliedTarget, 'matrix' | 'bias'>[]): PlannedTarget[] {
  return targets.map(({ matrix, bias }) => ({
    layout: matrix.layout,
    parts: matrix.parts.map((part) => part.rows),
    bias: bias !== undefined,
  }));
}

/** @throws HipError `invalid-shape`, `invalid-config`, `internal` */
function checkProducts({ context }: GpuCall, { x, targets, rows }: Omit<LinearInputs, 'norm'>): void {
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
}
