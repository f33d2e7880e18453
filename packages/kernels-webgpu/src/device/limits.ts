// The limits that planners respect: a plain object, so that they run without a device.

/** The limits of a device that matter here, in bytes or counts. */
export interface DeviceLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
}

/** What every WebGPU device offers. */
export const DEFAULT_LIMITS: DeviceLimits = Object.freeze({
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxBufferSize: 256 * 2 ** 20,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupsPerDimension: 65_535,
  maxStorageBuffersPerShaderStage: 8,
  minStorageBufferOffsetAlignment: 256,
  minUniformBufferOffsetAlignment: 256,
});

/** A WebGPU binding stops short of 2 GiB, whatever the device says. */
const LARGEST_BINDING = 2 ** 31 - 4;

/** Copies the limits of a device. */
export function limitsOf({ limits }: Pick<GPUDevice, 'limits'>): DeviceLimits {
  const copy = Object.fromEntries(
    Object.keys(DEFAULT_LIMITS).map((name) => [name, limits[name as keyof DeviceLimits]]),
  ) as unknown as DeviceLimits;
  return Object.freeze({
    ...copy,
    maxStorageBufferBindingSize: Math.min(copy.maxStorageBufferBindingSize, LARGEST_BINDING),
  });
}
