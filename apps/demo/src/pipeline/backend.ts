// Chooses the tfjs backend: WebGPU where the adapter is a real GPU, else WebAssembly.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { DemoOptions } from './options.ts';
import { DemoError } from './errors.ts';

export interface Backend {
  readonly name: 'cpu' | 'wasm' | 'webgpu';
  /** What the machine's GPU calls itself, on webgpu. */
  readonly adapter?: string;
  close(): Promise<void>;
}

const SOFTWARE_ADAPTER = /swiftshader|llvmpipe|software|warp/i;

/** Makes the backend current. @throws DemoError `invalid-option` when webgpu is asked for and there is no GPU */
export async function selectBackend(wanted: DemoOptions['backend']): Promise<Backend> {
  if (wanted === 'auto' || wanted === 'webgpu') {
    const gpu = await openGpu(wanted === 'webgpu');
    if (gpu) return gpu;
    if (wanted === 'webgpu') {
      throw new DemoError('invalid-option', '--backend is "webgpu", and no WebGPU adapter was found: use --backend wasm');
    }
  }
  if (wanted === 'cpu') {
    await tf.setBackend('cpu');
    return { name: 'cpu', close: async () => {} };
  }
  const require = createRequire(import.meta.url);
  setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  await tf.setBackend('wasm');
  await tf.ready();
  return { name: 'wasm', close: async () => {} };
}

async function openGpu(allowSoftware: boolean): Promise<Backend | undefined> {
  let create: typeof import('webgpu').create;
  try {
    ({ create } = await import('webgpu'));
  } catch {
    return undefined;
  }
  const gpu = create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return undefined;
  const { vendor, architecture, device: product, description } = adapter.info;
  const label = [vendor, architecture, product, description].filter(Boolean).join(' ');
  if (SOFTWARE_ADAPTER.test(label) && !allowSoftware) return undefined;
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu');
  const device = await adapter.requestDevice({
    requiredLimits: {
      maxBufferSize: adapter.limits.maxBufferSize,
      maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: adapter.limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: adapter.limits.maxComputeWorkgroupSizeX,
    },
  });
  tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, adapter.info), 3);
  await tf.setBackend('webgpu');
  await tf.ready();
  return {
    name: 'webgpu',
    adapter: label,
    close: async () => {
      tf.removeBackend('webgpu');
      device.destroy();
    },
  };
}
