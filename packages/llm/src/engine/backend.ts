// Where a model is computed: what the caller asks for, else what the machine has.
import {
  limitsOf,
  profileOf,
  requestHipDevice,
  DEFAULT_LIMITS,
  type DeviceLimits,
  type DeviceProfile,
} from '@hip/kernels-webgpu';
import { LlmError } from '../errors.ts';
import type { EngineOptions } from './types.ts';

/** A backend, and why it. */
export type BackendChoice = WasmChoice | WebgpuChoice;

interface WasmChoice {
  readonly backend: 'wasm';
  readonly reason: string;
}

/** What a plan needs of a GPU, and how to get hold of it. */
export interface WebgpuChoice {
  readonly backend: 'webgpu';
  readonly reason: string;
  readonly limits: DeviceLimits;
  readonly profile: DeviceProfile;
  /** The caller said so: another backend must not take its place. */
  readonly isAsked: boolean;
  /** @throws HipError `unsupported` */
  open(): Promise<{ readonly device: GPUDevice; readonly isOwn: boolean }>;
}

/** @throws LlmError `invalid-input` for a backend that there is not, here or at all */
export async function chooseBackend({ backend = 'auto', device }: EngineOptions): Promise<BackendChoice> {
  if (!['auto', 'wasm', 'webgpu'].includes(backend)) {
    const message = `backend is ${JSON.stringify(backend)}: give auto, wasm, webgpu`;
    throw new LlmError('invalid-input', message, { name: 'backend', value: backend });
  }
  if (backend === 'wasm') return { backend, reason: 'backend: wasm was asked for' };
  const isAsked = backend === 'webgpu' || device !== undefined;
  if (device) return onDevice(device, isAsked);
  const { gpu } = (globalThis.navigator ?? {}) as { readonly gpu?: GPU };
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    const found = gpu ? 'WebGPU finds no GPU' : 'there is no WebGPU (navigator.gpu)';
    if (!isAsked) return { backend: 'wasm', reason: found };
    const message = `backend is webgpu, and ${found} here: give a device, or use wasm`;
    throw new LlmError('invalid-input', message, { name: 'backend', value: backend });
  }
  const { isFallbackAdapter, description, vendor } = adapter.info;
  const name = description || vendor || 'GPU';
  if (isFallbackAdapter && !isAsked) {
    return {
      backend: 'wasm',
      reason: `the only GPU is computed in software (${name}), which is slower than WebAssembly`,
    };
  }
  return {
    backend: 'webgpu',
    reason: isAsked ? `backend: webgpu was asked for (${name})` : `there is a GPU (${name})`,
    limits: limitsOf(adapter),
    profile: profileOf({ features: adapter.features, adapterInfo: adapter.info }),
    isAsked,
    open: async () => ({ device: await requestHipDevice(adapter), isOwn: true }),
  };
}

/** What a GPU of WebGPU's default limits would take, where none is at hand: for plans. */
export function anyGpu(): WebgpuChoice {
  const none = { backend: 'webgpu' } as const;
  return {
    ...none,
    reason: 'a GPU with the default limits',
    limits: DEFAULT_LIMITS,
    profile: { tier: 'basic', shaderF16: false, subgroupMinSize: 1, subgroupMaxSize: 1, timestamps: false },
    isAsked: true,
    open: () => Promise.reject(new LlmError('internal', 'there is no device to open', none)),
  };
}

function onDevice(device: GPUDevice, isAsked: boolean): WebgpuChoice {
  return {
    backend: 'webgpu',
    reason: 'a device was given',
    limits: limitsOf(device),
    profile: profileOf(device),
    isAsked,
    open: () => Promise.resolve({ device, isOwn: false }),
  };
}
