// Which kernel serves a call and with which tile sizes: the first that fits the device, or what the caller asks for.
import { HipError } from '@hip/mask-search';
import type { DeviceProfile, ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { COLUMNS, TILE_KEYS, tileWorkgroupBytes } from './tile-parts.ts';

/** Tile sizes of the kernel without matrix units. */
export interface TileVariant {
  readonly kind: 'tile';
  readonly rows: number;
  readonly chunk: number;
  readonly shuffle: 1 | 2 | 4 | 8;
}

/** Tile sizes of the kernel for 16×16×16 matrices. A workgroup holds 16 rows per subgroup and row matrix. */
export interface MatrixVariant {
  readonly kind: 'matrix';
  readonly subgroups: number;
  /** Lanes of a subgroup. */
  readonly lanes: number;
  /** Keys of a tile, a multiple of 16. */
  readonly keys: number;
  /** The next tile is read into registers while this one is multiplied. */
  readonly prefetch: boolean;
  /** With `prefetch`: values are staged column by column, so that matrices of keys and of values are read alike. @defaultValue false */
  readonly transposeValues?: boolean | undefined;
  /** Matrices of queries are read again for each tile instead of held in registers. @defaultValue false */
  readonly reloadQueries?: boolean | undefined;
  /** Matrices of 16 rows a subgroup multiplies with each matrix of keys or values it loads. @defaultValue 1 */
  readonly rowMatrices?: 1 | 2 | undefined;
  /** Weights are computed with the old maximum before the vote whether it rose, which saves a barrier a tile. @defaultValue false */
  readonly speculate?: boolean | undefined;
  /**
   * Bytes of workgroup memory that stay unused: where fewer workgroups fit, a driver may give each thread more registers.
   * @defaultValue 0
   */
  readonly spareBytes?: number | undefined;
}

export type AttentionVariant = TileVariant | MatrixVariant;

/** What the choice depends on. */
export interface VariantInput {
  readonly headDim: number;
  readonly type: ElementType;
  /** Rows that share a mask, or all rows. */
  readonly blockQ: number;
  /** Pseudo-keys are attended to. @defaultValue false */
  readonly remainder?: boolean | undefined;
}

export const MATRIX = 16;

/** Largest head dimension of the kernels. */
export const MOST_DIMENSIONS = 512;
/** Beyond it a row's accumulators do not fit the registers of a subgroup: the tiled kernel serves. */
const MOST_MATRIX_DIMENSIONS = 256;

/** Head dimensions the kernels are made for: multiples of 8 up to 512. @throws HipError `unsupported` */
export function checkHeadDim(headDim: number): void {
  if (headDim % 8 !== 0 || headDim < 8 || headDim > MOST_DIMENSIONS) {
    throw new HipError(
      'unsupported',
      `headDim is ${headDim}: the WebGPU kernels take multiples of 8 from 8 to ${MOST_DIMENSIONS}; pad q, k and v with zeros, and give the scale of the head dimension before`,
      { headDim },
    );
  }
}

/** Workgroup memory of the matrix kernel in bytes: staged keys or values, scores, weights, entries, row factors. */
export function matrixWorkgroupBytes(
  { subgroups, keys, transposeValues, rowMatrices = 1, spareBytes = 0 }: MatrixVariant,
  headDim: number,
  remainder = false,
): number {
  const rows = MATRIX * subgroups * rowMatrices;
  const staged = 2 * Math.max(keys * (headDim + 8), transposeValues ? headDim * (keys + 8) : 0);
  return (
    (remainder ? 8 * keys : 0) +
    spareBytes +
    staged +
    rows * (keys + 4) * 4 +
    rows * (keys / 2 + 4) * 4 +
    2 * keys * 4 +
    rows * 4 +
    16
  );
}

/** Matrix variants that fit, the preferred one first. */
export function matrixVariants(
  input: VariantInput,
  { subgroupMaxSize: lanes }: DeviceProfile,
  limits: DeviceLimits,
): MatrixVariant[] {
  if (input.headDim % MATRIX !== 0 || input.headDim > MOST_MATRIX_DIMENSIONS) return [];
  const most = Math.max(1, Math.ceil(input.blockQ / MATRIX));
  const found: MatrixVariant[] = [];
  for (const subgroups of [4, 8, 2, 1]) {
    if (subgroups > most && subgroups !== 1 && subgroups >= 2 * most) continue;
    if (subgroups * lanes > Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX))
      continue;
    // Small blocks and pseudo-keys gather their rows: twice the workgroups at once hide that better (benchmarks/src/webgpu/vote-variants.ts).
    for (const keys of input.remainder ? [32, 64, 16] : [64, 32, 16]) {
      for (const prefetch of [true, false]) {
        const variant: MatrixVariant = { kind: 'matrix', subgroups, lanes, keys, prefetch };
        if (matrixWorkgroupBytes(variant, input.headDim, input.remainder) <= limits.maxComputeWorkgroupStorageSize)
          found.push(variant);
      }
    }
  }
  return found;
}

/** Tile variants that fit, the preferred one first. */
export function tileVariants(
  input: VariantInput,
  { tier, subgroupMinSize }: DeviceProfile,
  limits: DeviceLimits,
): TileVariant[] {
  const shuffle = tier === 'basic' ? 1 : (Math.min(8, 2 ** Math.floor(Math.log2(subgroupMinSize))) as 1 | 2 | 4 | 8);
  const whole = Math.ceil(input.headDim / 4 / COLUMNS) * COLUMNS;
  const wanted = Math.min(64, Math.max(8, 2 ** Math.ceil(Math.log2(input.blockQ))));
  const found: TileVariant[] = [];
  for (const rows of [64, 32, 16, 8]) {
    if (rows > wanted || 2 * rows > Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX))
      continue;
    for (const chunk of new Set([whole, Math.min(whole, 16), COLUMNS])) {
      const variant: TileVariant = { kind: 'tile', rows, chunk, shuffle };
      if (tileWorkgroupBytes(variant) + (input.remainder ? 4 * TILE_KEYS : 0) <= limits.maxComputeWorkgroupStorageSize)
        found.push(variant);
    }
  }
  return found;
}

/**
 * The variant for a call.
 *
 * @throws HipError `unsupported` where no variant fits the device's limits
 */
export function chooseVariant(input: VariantInput, profile: DeviceProfile, limits: DeviceLimits): AttentionVariant {
  checkHeadDim(input.headDim);
  const matrices =
    profile.tier === 'subgroup-matrix' && input.type === 'f16' ? matrixVariants(input, profile, limits) : [];
  const chosen = matrices[0] ?? tileVariants(input, profile, limits)[0];
  if (!chosen) {
    throw limitError(
      'maxComputeWorkgroupStorageSize',
      tileWorkgroupBytes({ rows: 8, chunk: COLUMNS, shuffle: 1 }),
      limits.maxComputeWorkgroupStorageSize,
      'WebGPU guarantees 16384',
    );
  }
  return chosen;
}

/** Rows of a workgroup. */
export function variantRows(variant: AttentionVariant): number {
  return variant.kind === 'tile' ? variant.rows : MATRIX * variant.subgroups * (variant.rowMatrices ?? 1);
}
