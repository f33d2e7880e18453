// Which kernel multiplies, and how its work is cut: pure numbers, without a device.
import type { DeviceProfile, ElementType } from '../../device/features.ts';
import type { DeviceLimits } from '../../device/limits.ts';
import type { ActivationFunction } from '../rows/activation-code.ts';
import { octetsOf } from '../octets.ts';
import type { RowLayout } from '../weights/layout.ts';
import { MOST_TARGETS } from './kernel.ts';
import { matrixKernelBytes, tileOf, type MatrixTiling } from './matrix-tiling.ts';
import { FEW_ROWS, rowKernelBytes, type RowKernel, type RowTiling } from './row-code.ts';
import { TILE_ROWS } from './tile-code.ts';

/** One matrix of a product, as planners see it. */
export interface PlannedTarget {
  readonly layout: RowLayout;
  /** Rows of each of its buffers. */
  readonly parts: readonly number[];
  readonly bias: boolean;
}

export interface ProductRequest {
  readonly rows: number;
  readonly x: ElementType;
  readonly targets: readonly PlannedTarget[];
  readonly gate?: ActivationFunction | undefined;
  readonly norm?: RowKernel['norm'];
}

/** A buffer of a target. */
export interface PlannedPart {
  readonly target: number;
  readonly part: number;
}

/** How the work is cut among lanes. */
export type ProductVariant =
  | ({ readonly kind: 'rows' } & RowTiling)
  | { readonly kind: 'tiles' }
  | { readonly kind: 'matrices'; readonly tiling: MatrixTiling; readonly lanes: number };

/** One dispatch: buffers of several matrices of one layout. */
export interface ProductDispatch {
  readonly parts: readonly PlannedPart[];
  /** Its first workgroup (of tiles: along outputs) for each part. */
  readonly starts: readonly number[];
  readonly workgroups: readonly [x: number, y: number, z?: number];
}

export interface ProductPlan {
  readonly variant: ProductVariant;
  readonly dispatches: readonly ProductDispatch[];
  /** Gate and up are multiplied apart, and combined by another pass. */
  readonly gateApart: boolean;
}

const tiling = (
  rowSubgroups: number,
  outputSubgroups: number,
  rowMatrices: number,
  outputMatrices: number,
  depth: number,
): MatrixTiling => ({ rowSubgroups, outputSubgroups, rowMatrices, outputMatrices, depth });

/** The largest first; each next one serves fewer rows, less work, or less memory. */
const TILINGS: readonly MatrixTiling[] = [
  tiling(2, 4, 4, 4, 32),
  tiling(2, 4, 4, 2, 64),
  tiling(2, 4, 4, 2, 32),
  tiling(2, 4, 2, 2, 32),
  tiling(1, 4, 2, 2, 32),
  tiling(1, 4, 2, 2, 16),
];
/** Workgroups of the next smaller tile are taken where there would be fewer than this. */
const FEW_TILES = 128;

/** Whether the next smaller tiling wastes less: it holds all rows as well, or a large GPU would be partly idle. */
function tooLarge(
  each: MatrixTiling,
  next: MatrixTiling | undefined,
  { rows, targets, gate }: ProductRequest,
): boolean {
  if (!next) return false;
  const [tile, smaller] = [tileOf(each), tileOf(next)];
  if (tile.rows > smaller.rows && rows <= smaller.rows) return true;
  if (tile.rows * tile.outputs === smaller.rows * smaller.outputs) return false;
  const own = gate ? targets.slice(0, 1) : targets;
  const outputs = own.reduce((sum, { parts }) => sum + Math.max(...parts), 0) * (gate ? 2 : 1);
  return Math.ceil(rows / tile.rows) * Math.ceil(outputs / tile.outputs) < FEW_TILES;
}

/** Workgroups of few rows are so many lanes, or a multiple. */
const LANES = 32;
/** Rows that are multiplied in f32 although there are matrix units, whose factors are f16: their weights take longer than they do. */
export const SHORT_ROWS = 128;
/** Lanes that keep a large GPU busy: there are fewer outputs a workgroup where there would be less. */
const ENOUGH_LANES = 49_152;
/** Workgroup memory beyond this keeps too few workgroups on a processor. */
const ROW_BYTES = 16_384;
/** Lanes of a workgroup at most: each holds eight columns of all rows in registers. */
const ROW_LANES = 384;
/** Products that a lane has under way. */
const UNDER_WAY = 32;

/** Few rows are bound by bytes, whatever the tier. */
function rowTiling(
  { rows, targets, gate, norm }: ProductRequest,
  profile: DeviceProfile,
  limits: DeviceLimits,
): RowTiling {
  const smallest = profile.tier === 'basic' ? 1 : profile.subgroupMinSize;
  const shuffle = 2 ** Math.floor(Math.log2(Math.min(LANES, smallest)));
  const matrices = gate ? 2 : 1;
  const all = targets.reduce((sum, { parts }) => sum + parts.reduce((rest, part) => rest + part, 0), 0) / matrices;
  const octets = octetsOf(Math.max(...targets.map(({ layout }) => layout.columns)));
  const memory = Math.min(limits.maxComputeWorkgroupStorageSize, ROW_BYTES);
  const few = Math.min(rows, FEW_ROWS);
  const rest = { rows: few, shuffle, gated: gate !== undefined, normed: norm !== undefined };
  const fitting = LANES * Math.floor(memory / rowKernelBytes({ ...rest, outputs: 1, threads: LANES }));
  const { maxComputeInvocationsPerWorkgroup: lanesAtMost, maxComputeWorkgroupSizeX: widthAtMost } = limits;
  const most = Math.min(ROW_LANES, fitting, lanesAtMost, widthAtMost);
  const threads = LANES * Math.ceil(octets / Math.ceil(octets / most) / LANES);
  const widest = Math.max(1, Math.min(8, UNDER_WAY / 2 ** Math.ceil(Math.log2(few))) / matrices);
  const share = (all * threads * Math.ceil(rows / FEW_ROWS)) / ENOUGH_LANES;
  for (const outputs of [32, 16, 8, 4, 2]) {
    const tiling = { outputs, batch: Math.min(outputs, widest), threads, shuffle };
    const bytes = rowKernelBytes({ ...tiling, ...rest });
    // Fewer outputs than rows would read more of x than of weights.
    if (bytes <= memory && (outputs <= share || 2 * outputs <= few)) return tiling;
  }
  return { outputs: 1, batch: 1, threads, shuffle };
}

function variantOf(request: ProductRequest, profile: DeviceProfile, limits: DeviceLimits): ProductVariant {
  const { rows, x, targets } = request;
  const isFew = rows <= FEW_ROWS || (profile.tier === 'subgroup-matrix' && rows <= SHORT_ROWS);
  if (isFew) return { kind: 'rows', ...rowTiling(request, profile, limits) };
  // Weights and activations in f32 are multiplied in f32.
  const exact = x === 'f32' && targets.some(({ layout }) => layout.type === 'F32');
  if (profile.tier === 'subgroup-matrix' && !exact) {
    const found = TILINGS.find((each, index) => {
      const threads = each.rowSubgroups * each.outputSubgroups * profile.subgroupMaxSize;
      return (
        threads <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
        matrixKernelBytes(each) <= limits.maxComputeWorkgroupStorageSize &&
        !tooLarge(each, TILINGS[index + 1], request)
      );
    });
    if (found) return { kind: 'matrices', tiling: found, lanes: profile.subgroupMaxSize };
  }
  return { kind: 'tiles' };
}

/** Outputs that one workgroup of a variant computes. */
function outputsOf(variant: ProductVariant, gated: boolean): number {
  if (variant.kind === 'rows') return variant.outputs;
  if (variant.kind === 'tiles') return TILE_ROWS;
  return gated ? tileOf(variant.tiling).outputs / 2 : tileOf(variant.tiling).outputs;
}

/** Whether a workgroup holds the same outputs of two matrices. */
function canGate(variant: ProductVariant): boolean {
  if (variant.kind !== 'matrices') return variant.kind === 'rows';
  const { rowSubgroups, outputSubgroups, outputMatrices, depth } = variant.tiling;
  // A thread reads one of the two in each of its moves.
  const half = (tileOf(variant.tiling).outputs / 2) * (depth / 8);
  return outputMatrices % 2 === 0 && half % (rowSubgroups * outputSubgroups * variant.lanes) === 0;
}

/** @param variant instead of the planner's */
export function planProduct(
  request: ProductRequest,
  profile: DeviceProfile,
  limits: DeviceLimits,
  variant: ProductVariant = variantOf(request, profile, limits),
): ProductPlan {
  const { rows, targets, gate, norm } = request;
  const alike = targets.every(({ layout }) => sameLayout(layout, targets[0]!.layout));
  const buffers = 1 + (norm?.weight ? 1 : 0);
  const gated = gate !== undefined && canGate(variant) && alike && fits(targets, buffers - 1, limits);
  const dispatches: ProductDispatch[] = [];
  const groups = gated ? partsOfAll(targets) : grouped(targets, buffers, limits);
  for (const parts of groups) dispatches.push(dispatchOf(parts, request, variant, limits, gated));
  return { variant, dispatches, gateApart: gate !== undefined && !gated && rows > 0 };
}

/** Whether storage buffers of these targets fit a dispatch beside `others`. */
function fits(targets: readonly PlannedTarget[], others: number, limits: DeviceLimits): boolean {
  const own = targets.reduce((sum, { bias }) => sum + (bias ? 3 : 2), others);
  return own <= limits.maxStorageBuffersPerShaderStage && targets.length <= MOST_TARGETS;
}

/** Buffer p of every target together. */
function partsOfAll(targets: readonly PlannedTarget[]): PlannedPart[][] {
  return targets[0]!.parts.map((_, part) => targets.map((_target, target) => ({ target, part })));
}

/** First buffers of like targets together, as many as bindings allow; an output is written by one part of a dispatch. */
function grouped(targets: readonly PlannedTarget[], buffers: number, limits: DeviceLimits): PlannedPart[][] {
  const groups: PlannedPart[][] = [];
  for (const [target, { layout, parts }] of targets.entries()) {
    const joined = groups.find((group) => {
      const members = group.map((each) => targets[each.target]!);
      return (
        group.every(({ part }) => part === 0) &&
        sameLayout(members[0]!.layout, layout) &&
        fits([...members, targets[target]!], buffers, limits)
      );
    });
    for (const part of parts.keys()) {
      if (part === 0 && joined) joined.push({ target, part });
      else groups.push([{ target, part }]);
    }
  }
  return groups;
}

function sameLayout(a: RowLayout, b: RowLayout): boolean {
  return a.type === b.type && a.columns === b.columns;
}

function dispatchOf(
  parts: readonly PlannedPart[],
  { rows, targets }: ProductRequest,
  variant: ProductVariant,
  limits: DeviceLimits,
  gated: boolean,
): ProductDispatch {
  const step = outputsOf(variant, gated);
  const starts: number[] = [];
  let groups = 0;
  for (const { target, part } of parts) {
    starts.push(groups);
    groups += Math.ceil(targets[target]!.parts[part]! / step);
  }
  if (gated) groups = Math.ceil(targets[0]!.parts[parts[0]!.part]! / step);
  if (variant.kind === 'rows') {
    const y = Math.ceil(groups / limits.maxComputeWorkgroupsPerDimension);
    return { parts, starts, workgroups: [Math.ceil(groups / y), y, Math.ceil(rows / FEW_ROWS)] };
  }
  const tile = variant.kind === 'tiles' ? TILE_ROWS : tileOf(variant.tiling).rows;
  return { parts, starts, workgroups: [groups, Math.ceil(rows / tile)] };
}
