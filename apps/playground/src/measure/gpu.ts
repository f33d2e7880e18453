// The GPU that is measured: none, one that is software, or one with our kernels' context.
import type { GpuContext } from '@hip/kernels-webgpu';
import { PlaygroundError } from '../rpc/protocol.ts';

export interface Gpu {
  readonly context: GpuContext;
  /** The adapter, and the tier of our kernels on it. */
  readonly name: string;
}

/** @throws PlaygroundError `no-webgpu`, `software-webgpu` */
export async function gpuOf(allowSoftware: boolean): Promise<Gpu> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter)
    throw new PlaygroundError('no-webgpu', 'this browser offers no WebGPU adapter here: WebAssembly alone is measured');
  const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'a GPU';
  if (!allowSoftware && (isFallbackAdapter || /swiftshader|llvmpipe|software|warp/i.test(`${name} ${architecture}`))) {
    const message = `WebGPU is computed in software here (${name}), which takes minutes: choose WebGPU alone to measure it all the same`;
    throw new PlaygroundError('software-webgpu', message);
  }
  const { contextOf, requestHipDevice } = await import('@hip/kernels-webgpu');
  const context = contextOf(await requestHipDevice(adapter));
  return { context, name: `${name}, ${context.profile.tier}` };
}
