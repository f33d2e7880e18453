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

/** What an option may be, and what to give where it is something else. */
type Check = readonly [isRight: (value: unknown) => boolean, fix: string];

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
const has = (value: unknown, ...names: readonly string[]): boolean =>
  names.every((name) => (Object(value) as Record<string, unknown>)[name] !== undefined);
const isCount = (least: number) => (value: unknown) => Number.isSafeInteger(value) && (value as number) >= least;
const tokens: Check = [isCount(1), 'give a number of tokens, at least 1'];

const CHECKS: Readonly<Record<keyof HipSessionOptions, Check>> = {
  config: [() => true, ''], // by the search itself
  denseBelow: [(value) => typeof value === 'number' && value >= 0, 'give a number ≥ 0'],
  layers: [
    (value) => Array.isArray(value) && value.every(isCount(0)),
    'give a list of numbers, 0 for the first attention',
  ],
  cache: [(value) => value === 'f16' || value === 'f32', "give 'f16' or 'f32'"],
  device: [(value) => value === 'cpu' || value === 'webgpu', "give 'cpu' or 'webgpu'"],
  threads: [isCount(1), 'give a number of threads, at least 1'],
  partTokens: [isCount(0), 'give a number of tokens, or 0 for all at once'],
  gpuDevice: [(value) => has(value, 'createBuffer', 'queue'), 'give a GPUDevice'],
  maxTokens: tokens,
  offload: tokens,
  sessionOptions: [isObject, "give an object of onnxruntime's options"],
  file: [(value) => typeof value === 'string' && value !== '', "give a file's name"],
  externalData: [isObject, 'give an object of files by name'],
  onCut: [(value) => typeof value === 'function', 'give a function'],
  signal: [(value) => has(value, 'aborted', 'addEventListener'), 'give an AbortSignal'],
};

/** @throws OnnxError `invalid-option`, HipError `invalid-config` */
export function checkOptions(options: HipSessionOptions): void {
  if (!isObject(options)) throw invalid('options', options, 'give an object, or nothing');
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(CHECKS, name))
      throw invalid(name, value, `there is no such option; those there are: ${Object.keys(CHECKS).join(', ')}`);
    const [isRight, fix] = CHECKS[name as keyof HipSessionOptions];
    if (!isRight(value)) throw invalid(name, value, fix);
  }
  if (options.config !== undefined) resolveConfig(options.config);
}

function invalid(name: string, value: unknown, fix: string): OnnxError {
  return new OnnxError('invalid-option', `${name} is ${shown(value)}: ${fix}`, { [name]: value });
}
