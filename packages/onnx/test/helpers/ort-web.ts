// onnxruntime-web in Node: WebAssembly files from the package, WebGPU through Dawn.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';

/** onnxruntime-web with WebGPU and WebAssembly. */
export async function ortWeb(): Promise<typeof import('onnxruntime-web/webgpu')> {
  const ort = await import('onnxruntime-web/webgpu');
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  ort.env.wasm.wasmPaths = `${pathToFileURL(folder).href}/`;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  return ort;
}

/** onnxruntime-web iterates `features` with forEach, which Dawn's set in Node lacks. */
export async function addForEach(gpu: GPU): Promise<void> {
  const adapter = await gpu.requestAdapter();
  const prototype = adapter && (Object.getPrototypeOf(adapter.features) as { forEach?: unknown } & Iterable<string>);
  if (!prototype || prototype.forEach) return;
  prototype.forEach = function forEach(this: Iterable<string>, visit: (feature: string) => void) {
    for (const feature of this) visit(feature);
  };
}
