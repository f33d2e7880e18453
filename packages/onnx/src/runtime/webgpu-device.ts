// The GPU device that onnxruntime-web and this project's kernels share: one for each onnxruntime.
import { requestHipDevice } from '@hip/kernels-webgpu';
import { OnnxError } from '../errors.ts';
import type { Ort } from './ort.ts';

const devices = new WeakMap<object, Promise<GPUDevice>>();

/** The device of a runtime: what the caller gives, or one with every feature that the kernels use. @throws OnnxError `unsupported` */
export async function sharedDevice(ort: Ort, given: GPUDevice | undefined): Promise<GPUDevice> {
  if (given) return given;
  const known = devices.get(ort.InferenceSession);
  if (known) return known;
  const made = request();
  devices.set(ort.InferenceSession, made);
  try {
    const device = await made;
    void device.lost.then(() => devices.delete(ort.InferenceSession));
    return device;
  } catch (error) {
    devices.delete(ort.InferenceSession);
    throw error;
  }
}

async function request(): Promise<GPUDevice> {
  if (!globalThis.navigator?.gpu) {
    throw new OnnxError('unsupported', "there is no WebGPU here (navigator.gpu): use device: 'cpu'", {});
  }
  return requestHipDevice(await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }));
}
