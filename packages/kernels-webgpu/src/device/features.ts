// What a device can do, reduced to what the kernels choose between: the tier and how f16 is read.
import { probedMatrices, SUBGROUP_MATRIX_FEATURE } from './probe.ts';

/** Kernel families: 16×16×16 matrix units, subgroup operations, or neither. */
export type Tier = 'subgroup-matrix' | 'subgroups' | 'basic';

/** How stored numbers are read in a shader. `f16-packed`: pairs in u32, without `shader-f16`. */
export type StorageAccess = 'f32' | 'f16' | 'f16-packed';

/** How numbers lie in memory. Packed or not, f16 takes 2 bytes, low half first. */
export type ElementType = 'f32' | 'f16';

/** What the tier needs to know; a plain object, so that planners run without a device. */
export interface DeviceProfile {
  readonly tier: Tier;
  readonly shaderF16: boolean;
  /** Lanes of a subgroup: the smallest and the largest that may come. 1, 1 without subgroups. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  readonly timestamps: boolean;
}

/** One entry of `adapterInfo.subgroupMatrixConfigs`. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

interface MatrixAdapterInfo {
  readonly subgroupMatrixConfigs?: Iterable<MatrixConfig>;
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
}

/** The matrix kernels use one shape only: 16×16×16, f16 in, f32 out. Where the adapter lists no shapes at all, the probe decides. */
function hasMatrixShape({ subgroupMatrixConfigs = [] }: MatrixAdapterInfo, device: object): boolean {
  const configs = [...subgroupMatrixConfigs];
  if (configs.length === 0) return probedMatrices(device) ?? false;
  return configs.some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' && resultComponentType === 'f32' && M === 16 && N === 16 && K === 16,
  );
}

/** Reads the profile of a device. */
export function profileOf(device: Pick<GPUDevice, 'features' | 'adapterInfo'>): DeviceProfile {
  const has = (feature: string): boolean => device.features.has(feature);
  const info = device.adapterInfo as MatrixAdapterInfo;
  const shaderF16 = has('shader-f16');
  const subgroups = has('subgroups');
  const subgroupMinSize = subgroups ? (info.subgroupMinSize ?? 4) : 1;
  const subgroupMaxSize = subgroups ? (info.subgroupMaxSize ?? 128) : 1;
  // The matrix kernels count the subgroups of a workgroup ahead of time: only a fixed size lets them.
  const matrices =
    subgroups &&
    shaderF16 &&
    has(SUBGROUP_MATRIX_FEATURE) &&
    hasMatrixShape(info, device) &&
    subgroupMinSize === subgroupMaxSize;
  return {
    tier: matrices ? 'subgroup-matrix' : subgroups ? 'subgroups' : 'basic',
    shaderF16,
    subgroupMinSize,
    subgroupMaxSize,
    timestamps: has('timestamp-query'),
  };
}

/** Restricts a profile to a lower tier, to compare tiers on one device. */
export function withTier(profile: DeviceProfile, tier: Tier): DeviceProfile {
  const order: readonly Tier[] = ['basic', 'subgroups', 'subgroup-matrix'];
  if (order.indexOf(tier) > order.indexOf(profile.tier)) return profile;
  return { ...profile, tier };
}

/** How a shader of this device reads an element type. */
export function accessOf(type: ElementType, { shaderF16 }: Pick<DeviceProfile, 'shaderF16'>): StorageAccess {
  return type === 'f32' ? 'f32' : shaderF16 ? 'f16' : 'f16-packed';
}

/** Bytes of one stored number. */
export function bytesOf(type: ElementType): number {
  return type === 'f32' ? 4 : 2;
}
