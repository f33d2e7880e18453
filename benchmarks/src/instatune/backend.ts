// Starts the tfjs backend that a benchmark is asked for: wasm (threaded products), or webgpu through Dawn.
import { dirname } from 'node:path';
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { reuseWebGpuBindings, setUpTfjs } from '@instatune/supernet';

export type BackendName = 'wasm' | 'webgpu';

/** Dispatches per submission on webgpu: tfjs's 15 leave the GPU waiting for the encoder. */
const SUBMIT_BATCH = 128;

/** Starts a backend with threaded products and says what it runs on. */
export async function startBackend(name: BackendName): Promise<Record<string, unknown>> {
  const started = await startTfjs(name);
  if (name === 'webgpu') return started;
  const { registerCpuKernels } = await import('@hip/kernels-cpu/tfjs');
  const runtime = await registerCpuKernels({ matmul: true });
  return { ...started, products: `${runtime.threads} threads` };
}

/**
 * Starts a backend without kernels of our own, and says what it runs on.
 *
 * @param wasmPath folder of tfjs' .wasm files. @defaultValue the installed package's
 */
export async function startTfjs(name: BackendName, wasmPath?: string): Promise<Record<string, unknown>> {
  const device = name === 'webgpu' ? await startWebGpu() : await startWasm(wasmPath);
  await tf.ready();
  if (tf.getBackend() !== name) throw new Error(`the tfjs backend ${name} did not start`);
  return { backend: `tfjs-${name} ${tf.version_core}`, ...device };
}

async function startWasm(path?: string): Promise<Record<string, unknown>> {
  const { setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  const require = createRequire(import.meta.url);
  setWasmPaths(path ?? `${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  setThreadsCount(1);
  await tf.setBackend('wasm');
  return { device: 'CPU' };
}

async function startWebGpu(): Promise<Record<string, unknown>> {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create(
    (
      process.env['DAWN_OPTIONS'] ?? 'backend=vulkan enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'
    ).split(' '),
  );
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('no WebGPU adapter: install a Vulkan driver, or use the wasm backend');
  const { vendor, architecture, device, description } = adapter.info;
  await setUpTfjs({ backends: ['webgpu'], mixed: true, allowSoftware: true });
  tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', SUBMIT_BATCH);
  reuseWebGpuBindings();
  return { device: [vendor, architecture, device, description].filter(Boolean).join(' · ') };
}
