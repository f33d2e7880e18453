// What a caller hands over is checked before anything is read: later it would fail in words of other layers, or not at all.
import { resolveConfig } from '@hip/mask-search';
import { OnnxError, shown } from '../errors.ts';
import type { Ort } from '../runtime/ort.ts';
import type { HipSessionOptions } from './create.ts';

/** @throws OnnxError `invalid-option` */
export function checkOrt(ort: Ort): void {
  const { InferenceSession, Tensor } = Object(ort) as Partial<Ort>;
  if (typeof InferenceSession?.create === 'function' && typeof Tensor === 'function') return;
  const message = `ort is ${shown(ort)}: give onnxruntime as its module exports it (import * as ort from 'onnxruntime-node')`;
  throw new OnnxError('invalid-option', message, {});
}

/** @throws OnnxError `invalid-option`, HipError `invalid-config` */
export function checkOptions(options: HipSessionOptions): void {
  if (Object(options) !== options) throw invalid('options', options, 'give an object, or nothing');
  const { config, denseBelow, layers, cache, device, partTokens, maxTokens, offload } = options;
  if (config !== undefined) resolveConfig(config);
  if (denseBelow !== undefined && !(denseBelow >= 0)) throw invalid('denseBelow', denseBelow, 'give a number ≥ 0');
  if (layers !== undefined && !Array.isArray(layers)) throw invalid('layers', layers, 'give a list of numbers');
  if (cache !== undefined && cache !== 'f16' && cache !== 'f32') throw invalid('cache', cache, "give 'f16' or 'f32'");
  if (device !== undefined && device !== 'cpu' && device !== 'webgpu')
    throw invalid('device', device, "give 'cpu' or 'webgpu'");
  if (partTokens !== undefined && !(Number.isSafeInteger(partTokens) && partTokens >= 0))
    throw invalid('partTokens', partTokens, 'give a number of tokens, or 0 for all at once');
  for (const [name, value] of Object.entries({ maxTokens, offload })) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue;
    throw invalid(name, value, 'give a number of tokens, at least 1');
  }
}

function invalid(name: string, value: unknown, fix: string): OnnxError {
  return new OnnxError('invalid-option', `${name} is ${shown(value)}: ${fix}`, { [name]: value });
}
