// Chooses the tfjs backend, WebGPU where the adapter is a real GPU, else WebAssembly, and gets the attention kernels ready.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { HipError, prepareAttention, type PreparedAttention } from '@hip/attention';
import type { DemoOptions } from './options.ts';
import { DemoError } from './errors.ts';

export interface Backend {
  readonly name: 'cpu' | 'wasm' | 'webgpu';
  /** What the machine's GPU calls itself, on webgpu. */
  readonly adapter?: string;
  /** On a hardware GPU: what else computes there. */
  readonly device?: GPUDevice;
  readonly attention: PreparedAttention;
  close(): void;
}

const SOFTWARE_ADAPTER = /swiftshader|llvmpipe|software|warp/i;

/** Makes the backend current. @throws DemoError `invalid-option` when webgpu is asked for and cannot be had */
export async function selectBackend(wanted: DemoOptions['backend']): Promise<Backend> {
  if (wanted === 'auto' || wanted === 'webgpu') {
    const gpu = await openGpu(wanted === 'webgpu');
    if (gpu) {
      try {
        return await ready('webgpu', gpu);
      } catch (cause) {
        gpu.close();
        if (wanted === 'webgpu' || !(cause instanceof HipError)) throw cause;
      }
    }
    if (wanted === 'webgpu') {
      throw new DemoError(
        'invalid-option',
        '--backend is "webgpu", and no WebGPU adapter was found: use --backend wasm',
      );
    }
  }
  if (wanted === 'cpu') {
    await tf.setBackend('cpu');
    return ready('cpu');
  }
  setWasmPaths(join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  // The matrix products, nearly all of the work, run on the threads of @hip/kernels-cpu; two pools would compete for the cores.
  setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  return ready('wasm');
}

async function ready(name: Backend['name'], gpu?: Gpu): Promise<Backend> {
  const attention = await prepareAttention({ matmul: true });
  return {
    name,
    attention,
    ...(gpu && { adapter: gpu.label }),
    ...(gpu?.device && { device: gpu.device }),
    close() {
      attention.close();
      gpu?.close();
    },
  };
}

interface Gpu {
  readonly label: string;
  readonly device: GPUDevice | undefined;
  close(): void;
}

/** Where Linux has no such device there is no GPU to find, and looking for one makes Dawn complain about the missing Vulkan loader. */
const LINUX_GPU_DEVICES = ['/dev/nvidiactl', '/dev/dri', '/dev/dxg', '/dev/kfd'];

async function openGpu(allowSoftware: boolean): Promise<Gpu | undefined> {
  if (!allowSoftware && process.platform === 'linux' && !LINUX_GPU_DEVICES.some((path) => existsSync(path)))
    return undefined;
  let dawn: typeof import('webgpu');
  try {
    dawn = await import('webgpu');
  } catch {
    return undefined;
  }
  const gpu = dawn.create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return undefined;
  const { vendor, architecture, device: product, description } = adapter.info;
  const label = [vendor, architecture, product, description].filter(Boolean).join(' ');
  if (SOFTWARE_ADAPTER.test(label) && !allowSoftware) return undefined;
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu');
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    },
  });
  // tfjs asks the globals of a browser whether there is WebGPU.
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, adapter.info), 3);
  if (!(await tf.setBackend('webgpu'))) {
    tf.removeBackend('webgpu');
    device.destroy();
    return undefined;
  }
  return {
    label,
    device: SOFTWARE_ADAPTER.test(label) ? undefined : device,
    close() {
      if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
      device.destroy();
    },
  };
}
