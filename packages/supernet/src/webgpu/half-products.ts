// Products of mixed precision on tfjs-webgpu: float16 factors, float32 sums, on the GPU's matrix units. What training asks for, where it can.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { DEPTH, extentOf, halfProductCode, LANES, MATRIX, NATIVE } from './half-product-code.ts';
import type { HalfProductKernel, HalfTile, MatrixSpelling } from './half-product-code.ts';
import { runTiles } from './pipelines.ts';
import { onWebGpu } from './tfjs-backend.ts';
import type { TileKernel } from './pipelines.ts';
import { columnSum } from './rows.ts';

/** What a device needs; the last is Dawn's experimental feature, which is not in the standard. */
export const HALF_PRODUCT_FEATURES = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'] as const;

/** The part of a device that is looked at. */
interface Device {
  readonly features: ReadonlySet<string>;
  readonly adapterInfo: { readonly subgroupMinSize?: number; readonly subgroupMaxSize?: number };
}

/** The larger first. */
const TILES: readonly HalfTile[] = [
  { rowSubgroups: 2, columnSubgroups: 4, rowMatrices: 4, columnMatrices: 2 },
  { rowSubgroups: 2, columnSubgroups: 2, rowMatrices: 2, columnMatrices: 2 },
];
/** Workgroups that keep a large GPU busy. */
const ENOUGH = 256;
/** An inner extent is not cut into parts of less than this. */
const LEAST_PART = 512;
/** Multiply-accumulates below which a product is left to tfjs: the rounding would gain nothing. */
const LEAST_WORK = 2 ** 20;

let active = false;

/** Runs synchronous work whose products are of mixed precision, as far as their shapes allow. */
export function withHalfProducts<T>(run: () => T): T {
  const before = active;
  active = true;
  try {
    return run();
  } finally {
    active = before;
  }
}

/** Why the current backend has no products of mixed precision; undefined where it has. */
export function whyNoHalfProducts(): string | undefined {
  if (!onWebGpu()) return `tfjs runs on ${tf.getBackend()}, mixed precision needs webgpu`;
  const { features, adapterInfo } = (tf.backend() as unknown as { readonly device: Device }).device;
  const missing = HALF_PRODUCT_FEATURES.filter((feature) => !features.has(feature));
  if (missing.length > 0) return `the device of tfjs-webgpu was made without ${missing.join(', ')}`;
  const { subgroupMinSize, subgroupMaxSize } = adapterInfo;
  if (subgroupMinSize === LANES && subgroupMaxSize === LANES) return undefined;
  return `subgroups have ${subgroupMinSize} to ${subgroupMaxSize} lanes, the kernel is written for ${LANES}`;
}

/** How a product is cut. */
export interface HalfProductPlan {
  readonly tile: HalfTile;
  readonly workgroups: readonly [number, number, number];
  /** Inner extent of each of the parts (workgroups z), which are summed afterwards. */
  readonly part: number;
}

/** Workgroups and parts of a product; undefined for shapes that the kernel does not take. */
export function planHalfProduct(
  rows: number,
  columns: number,
  inner: number,
  { transposeA, transposeB }: { readonly transposeA: boolean; readonly transposeB: boolean },
): HalfProductPlan | undefined {
  const contiguous = [transposeA ? rows : inner, transposeB ? inner : columns];
  if (rows % MATRIX !== 0 || columns % MATRIX !== 0 || contiguous.some((extent) => extent % 8 !== 0)) return undefined;
  if (rows * columns * inner < LEAST_WORK) return undefined;
  const groupsOf = (tile: HalfTile): [number, number] => {
    const extent = extentOf(tile);
    return [Math.ceil(columns / extent.columns), Math.ceil(rows / extent.rows)];
  };
  const most = Math.max(1, Math.floor(inner / LEAST_PART));
  for (const [index, tile] of TILES.entries()) {
    const [x, y] = groupsOf(tile);
    const parts = Math.min(most, Math.ceil(ENOUGH / (x * y)));
    if (index < TILES.length - 1 && x * y * parts < ENOUGH / 2) continue;
    const part = Math.ceil(inner / parts / DEPTH) * DEPTH;
    return { tile, workgroups: [x, y, Math.ceil(inner / part)], part };
  }
  return undefined;
}

/** op(a)·op(b) (+ bias) in mixed precision; undefined where it is not on, or the shapes are not for it. Not differentiable. */
export function halfProduct(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  transposeA: boolean,
  transposeB: boolean,
  bias?: tf.Tensor1D,
): tf.Tensor2D | undefined {
  return active ? multiplyHalves(a, b, { transposeA, transposeB, bias }) : undefined;
}

/** How {@link mixedMatMul} takes its factors. */
export interface MixedMatMulOptions {
  /** @defaultValue false */
  readonly transposeA?: boolean | undefined;
  /** @defaultValue false */
  readonly transposeB?: boolean | undefined;
}

/**
 * a·b of float16 factors with float32 sums on the GPU's matrix units, as training of mixed precision computes it. Shapes that are no
 * multiples of 16, and small ones, are multiplied in float32. Not differentiable.
 *
 * @param a [M, K], float32; [K, M] with `transposeA`
 * @param b [K, N], float32; [N, K] with `transposeB`
 * @throws SupernetError `unsupported` where the backend has no matrix units, with the reason
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { mixedMatMul, setUpTfjs } from '@instatune/supernet';
 *
 * const { backend } = await setUpTfjs({ mixed: true });
 * const [a, b] = [tf.ones<tf.Rank.R2>([64, 64]), tf.ones<tf.Rank.R2>([64, 64])];
 * const product = backend === 'webgpu' ? mixedMatMul(a, b) : tf.matMul(a, b);
 * console.log(product.shape.join()); // => 64,64
 * ```
 */
export function mixedMatMul(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  { transposeA = false, transposeB = false }: MixedMatMulOptions = {},
): tf.Tensor2D {
  const reason = whyNoHalfProducts();
  if (reason !== undefined) throw new SupernetError('unsupported', `mixedMatMul: ${reason}`);
  return multiplyHalves(a, b, { transposeA, transposeB }) ?? tf.matMul<tf.Tensor2D>(a, b, transposeA, transposeB);
}

/** What tests choose. */
interface HalfProductVariant {
  /** @defaultValue Dawn's */
  readonly spelling?: MatrixSpelling;
  /** @defaultValue the planner's */
  readonly plan?: HalfProductPlan | undefined;
}

/** As {@link halfProduct}, whether or not it is on. */
export function multiplyHalves(
  a: tf.Tensor2D,
  b: tf.Tensor2D,
  { transposeA, transposeB, bias }: { transposeA: boolean; transposeB: boolean; bias?: tf.Tensor1D | undefined },
  variant: HalfProductVariant = {},
): tf.Tensor2D | undefined {
  const [rows, inner] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
  const columns = transposeB ? b.shape[0] : b.shape[1];
  const { spelling = NATIVE, plan = planHalfProduct(rows, columns, inner, { transposeA, transposeB }) } = variant;
  if (!plan) return undefined;
  const parts = plan.workgroups[2];
  const kernel: HalfProductKernel = {
    tile: plan.tile,
    transposeA,
    transposeB,
    bias: bias !== undefined && parts === 1,
  };
  return tf.tidy(() => {
    const reads = kernel.bias ? [a, b, bias as tf.Tensor] : [a, b];
    const numbers = [rows, columns, inner, plan.part];
    const shape: [number, number] = [parts, rows * columns];
    const result = runTiles<tf.Rank.R2>(kernelOf(kernel, spelling), shape, reads, numbers, plan.workgroups);
    if (parts === 1) return tf.reshape(result, [rows, columns]);
    const sum: tf.Tensor2D = tf.reshape(columnSum(result), [rows, columns]);
    return bias ? tf.add(sum, bias) : sum;
  });
}

const kernels = new Map<string, TileKernel>();

function kernelOf(kernel: HalfProductKernel, spelling: MatrixSpelling): TileKernel {
  const key = JSON.stringify([kernel, spelling.enables]);
  let known = kernels.get(key);
  if (!known) kernels.set(key, (known = describe(key, kernel, spelling)));
  return known;
}

function describe(key: string, kernel: HalfProductKernel, spelling: MatrixSpelling): TileKernel {
  return {
    name: `half-product-${key}`,
    enables: spelling.enables,
    reads: [['a', 'vec4<f32>'], ['b', 'vec4<f32>'], ...(kernel.bias ? [['bias', 'f32'] as const] : [])],
    uniforms: ['rows', 'columns', 'inner', 'part'],
    workgroupSize: extentOf(kernel.tile).threads,
    code: halfProductCode(kernel, spelling),
  };
}
