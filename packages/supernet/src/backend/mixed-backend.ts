// tfjs-webgpu on a device with matrix units: tfjs' own asks for none of the features that they need.
import * as tf from '@tensorflow/tfjs';
import { HALF_PRODUCT_FEATURES } from '../webgpu/half-products.ts';
import { noAdapter } from './no-webgpu.ts';

interface Adapter {
  readonly features: ReadonlySet<string>;
  readonly limits: Readonly<Record<string, number>>;
  readonly info: unknown;
  requestDevice(of: object): Promise<unknown>;
}

/** What is used of `navigator.gpu`. */
export interface GpuOfDevices {
  requestAdapter(options: object): Promise<Adapter | null>;
}

/** Limits that tfjs raises. */
const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
] as const;

/** Replaces tfjs' factory of the backend webgpu by one whose device has the features of products of mixed precision, where the adapter has them. */
export function registerMixedBackend(
  Backend: new (device: never, info: never) => tf.KernelBackend,
  gpu: GpuOfDevices,
): void {
  tf.removeBackend('webgpu');
  tf.registerBackend(
    'webgpu',
    async () => {
      const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
      if (!adapter) throw new Error(noAdapter());
      const wanted = ['timestamp-query', ...HALF_PRODUCT_FEATURES];
      const device = await adapter.requestDevice({
        requiredFeatures: wanted.filter((feature) => adapter.features.has(feature)),
        requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
      });
      return new Backend(device as never, adapter.info as never);
    },
    3,
  );
}
