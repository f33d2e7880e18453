// requestHipDevice: a device with every feature and limit the kernels can use.
import { HipError } from '../errors/gpu-errors.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { probeMatrices, SUBGROUP_MATRIX_FEATURE } from './probe.ts';

export interface RequestOptions {
  /** @defaultValue every feature below that the adapter has */
  readonly features?: readonly string[] | undefined;
  /** false keeps WebGPU's default limits. @defaultValue true */
  readonly raiseLimits?: boolean | undefined;
}

/** Features the kernels make use of. */
export const USED_FEATURES: readonly string[] = ['shader-f16', 'subgroups', 'timestamp-query', SUBGROUP_MATRIX_FEATURE];

/**
 * Requests a device for these kernels. Any other GPUDevice works too: this one only asks for more.
 *
 * @param adapter what `navigator.gpu.requestAdapter()` gave, null where it found none
 * @throws HipError `unsupported` without an adapter, or when it lacks a feature that was asked for by name
 */
export async function requestHipDevice(
  adapter: GPUAdapter | null,
  { features, raiseLimits = true }: RequestOptions = {},
): Promise<GPUDevice> {
  if (!adapter)
    throw new HipError(
      'unsupported',
      'there is no GPU adapter: WebGPU is off or finds no GPU here, run @hip/kernels-cpu instead',
      { adapter },
    );
  const missing = features?.filter((feature) => !adapter.features.has(feature)) ?? [];
  if (missing.length > 0)
    throw new HipError(
      'unsupported',
      `the adapter lacks ${missing.join(', ')}: leave features undefined to take what is there`,
      { missing },
    );
  const requiredFeatures = (features ??
    USED_FEATURES.filter((feature) => adapter.features.has(feature as GPUFeatureName))) as GPUFeatureName[];
  const requiredLimits: Record<string, number> = {};
  if (raiseLimits) {
    for (const name of Object.keys(DEFAULT_LIMITS)) {
      if (name.startsWith('max')) requiredLimits[name] = adapter.limits[name as keyof typeof DEFAULT_LIMITS];
    }
  }
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });
  await probeMatrices(device);
  return device;
}
