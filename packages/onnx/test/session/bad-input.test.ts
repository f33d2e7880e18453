// What a caller hands over by mistake: a typed error that names it and says what to give; nothing is lost.
import { HipError } from '@hip/mask-search';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createHipSession,
  type HipSession,
  type HipSessionOptions,
  type Ort,
  OnnxError,
  useHip,
} from '../../src/index.ts';
import type { OrtTensor } from '../../src/runtime/ort.ts';
import { groupQuery, lengths, tinyModel } from '../helpers/tiny-graph.ts';

type Run = Record<string, OrtTensor>;

const ids = (...values: readonly number[]): OrtTensor =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
const names = [0, 1].flatMap((layer) => ['key', 'value'].map((part) => `past_key_values.${layer}.${part}`));
/** Caches of numbers. */
const caches = (dims: readonly number[], type: 'float32' | 'int32' = 'float32'): Run => {
  const count = dims.reduce((a, b) => a * b, 1);
  const data = type === 'int32' ? new Int32Array(count) : new Float32Array(count);
  return Object.fromEntries(names.map((name) => [name, new ort.Tensor(type, data as Float32Array, dims)]));
};
const prompt: Run = { input_ids: ids(3, 5), attention_mask: ids(1, 1), ...caches([1, 2, 0, 32]) };

/** The same numbers in other axes. */
const axes = ({ data }: OrtTensor, dims: readonly number[]): OrtTensor =>
  new ort.Tensor('int64', data as BigInt64Array, dims);
const disposed = (): OrtTensor => {
  const tensor = ids(3, 5);
  tensor.dispose();
  return tensor;
};

let model: Uint8Array;
let session: HipSession;
beforeAll(async () => {
  model = await tinyModel({ before: lengths, attention: groupQuery() });
  session = await createHipSession(ort, model, { threads: 1 });
});
afterAll(() => session.release());

async function refusal(action: () => Promise<unknown>): Promise<string> {
  const error: unknown = await action().catch((cause: unknown) => cause);
  if (!(error instanceof OnnxError)) throw new Error(`no OnnxError: ${String(error)}`);
  return `${error.code}: ${error.message}`;
}

describe('createHipSession', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^invalid-option: ort is undefined: give onnxruntime as its module exports it/],
    ['an empty object', {}, /^invalid-option: ort is Object/],
  ])('refuses %s in the place of onnxruntime', async (_, given, message) => {
    expect(await refusal(() => createHipSession(given as Ort, model))).toMatch(message);
  });

  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^invalid-option: the model is undefined: give a path/],
    ['an ArrayBuffer', new ArrayBuffer(8), /^invalid-option: the model is ArrayBuffer/],
    ['no name', '', /^invalid-option: the model is ''/],
    ['a folder that is not there', '/nowhere/', /^file-not-found: there is no model\.onnx in \/nowhere/],
  ])('refuses %s in the place of a model', async (_, given, message) => {
    expect(await refusal(() => createHipSession(ort, given as string))).toMatch(message);
  });

  it.each<[unknown, RegExp]>([
    [null, /options is null/],
    [{ cache: 'f64' }, /cache is 'f64': give 'f16' or 'f32'/],
    [{ denseBelow: Number.NaN }, /denseBelow is NaN: give a number ≥ 0/],
    [[], /options is Array: give an object/],
    [{ k: 256 }, /k is 256: there is no such option; those there are: config, denseBelow/],
    [{ denseBelow: '5' }, /denseBelow is '5': give a number ≥ 0/],
    [{ layers: 0 }, /layers is 0: give a list/],
    [{ layers: [0, -1] }, /layers is Array: give a list of numbers/],
    [{ layers: [7] }, /layers holds 7: the graph has attentions 0 to 1/],
    [{ layers: [] }, /layers is empty/],
    [{ device: 'gpu' }, /device is 'gpu': give 'cpu' or 'webgpu'/],
    [{ device: 'webgpu' }, /unsupported: there is no WebGPU here/],
    [{ threads: 0 }, /threads is 0: give a number of threads/],
    [{ threads: 1.5 }, /threads is 1.5/],
    [{ offload: Number.NaN }, /offload is NaN: give a number of tokens/],
    [{ gpuDevice: {} }, /gpuDevice is Object: give a GPUDevice/],
    [{ sessionOptions: 'fast' }, /sessionOptions is 'fast': give an object/],
    [{ file: 5 }, /file is 5: give a file's name/],
    [{ externalData: 'weights' }, /externalData is 'weights': give an object of files/],
    [{ onCut: true }, /onCut is true: give a function/],
    [{ signal: 'stop' }, /signal is 'stop': give an AbortSignal/],
    [{ partTokens: -1 }, /partTokens is -1/],
    [{ maxTokens: 0 }, /maxTokens is 0/],
  ])('refuses options %o', async (options, message) => {
    expect(await refusal(() => createHipSession(ort, model, options as HipSessionOptions))).toMatch(message);
  });

  it.each<[object, RegExp]>([
    [{ k: -1 }, /k is -1/],
    [{ kk: 256 }, /^config\.kk is 256: there is no such field \(did you mean k\?\); those there are: k, blockQ/],
    [{ layers: [{}, { keys: 4 }] }, /^layers\[1\]\.keys is 4: there is no such field; those there are: dense, k,/],
    [{ window: Number.NaN }, /window is NaN: give an integer/],
  ])('refuses a configuration of %o before it reads weights', async (config, message) => {
    const error: unknown = await createHipSession(ort, model, { config }).catch((cause: unknown) => cause);
    if (!(error instanceof HipError)) throw new Error(`no HipError: ${String(error)}`);
    expect(error.code).toBe('invalid-config');
    expect(error.message).toMatch(message);
  });

  it('ends with a signal that is aborted', async () => {
    expect(await refusal(() => createHipSession(ort, model, { signal: AbortSignal.abort() }))).toMatch(/^aborted: /);
  });
});

describe('useHip', () => {
  /** As transformers.js keeps it. */
  const loaded = { config: {}, sessions: { model: { release: async () => {} } } };

  it.each<[string, unknown, unknown, RegExp]>([
    ['nothing', undefined, {}, /^invalid-option: the model is undefined/],
    [
      'a model without a decoder',
      { sessions: { encoder: {} } },
      {},
      /^unsupported: the model has sessions encoder, no/,
    ],
    ['a model that has it', { config: {}, sessions: { model: { attentions: 2 } } }, {}, /this model has HiP already/],
    ['options that are none', loaded, null, /options is null: give an object/],
    ['a slip of the pen', loaded, { configuration: {} }, /configuration is Object: there is no such option/],
    ['the device, which is the model`s', loaded, { device: 'webgpu' }, /device is 'webgpu': leave it out/],
    ['an environment that is none', loaded, { env: 'here' }, /env is 'here': give `env` of transformers\.js/],
  ])('refuses %s', async (_, given, options, message) => {
    expect(await refusal(() => useHip(given as never, options as never))).toMatch(message);
  });

  it('refuses fields that a configuration does not have, and leaves the model as it was', async () => {
    await expect(useHip(loaded as never, { config: { kk: 256 } as never })).rejects.toThrow(/config\.kk is 256/);
    expect(loaded.sessions.model).not.toHaveProperty('attentions');
  });
});

describe('run', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /the feeds are undefined: give an object of tensors/],
    ['an array for a tensor', { ...prompt, input_ids: [3] }, /input_ids is no tensor/],
    [
      'other types',
      { ...prompt, input_ids: new ort.Tensor('int32', Int32Array.of(3), [1, 1]) },
      /of int32: give int64/,
    ],
    ['caches of integers', { ...prompt, ...caches([1, 2, 0, 32], 'int32') }, /0\.key is of int32: give float32/],
    [
      'an id behind the vocabulary',
      { ...prompt, input_ids: ids(3, 40) },
      /input_ids\[0, 1\] is 40: give token ids from 0 to 39/,
    ],
    ['an id that is none', { ...prompt, input_ids: ids(-1, 5) }, /input_ids\[0, 0\] is -1: give token ids from 0/],
    [
      'no tokens',
      { ...prompt, input_ids: ids(), attention_mask: ids() },
      /input_ids is \[1, 0\]: give at least one token/,
    ],
    [
      'a text without a batch',
      { ...prompt, input_ids: axes(ids(3, 5), [2]) },
      /input_ids is \[2\]: give 2 axes, \[batch, seq/,
    ],
    [
      'a mask of other width',
      { ...prompt, attention_mask: ids(1, 1, 1) },
      /attention_mask has 3 tokens: give 2, a column for each of 0 in the/,
    ],
    [
      'a mask of more texts',
      { ...prompt, attention_mask: axes(ids(1, 1), [2, 1]) },
      /attention_mask is \[2, 1\]: give/,
    ],
    [
      'a cache of three axes',
      { ...prompt, ...caches([1, 2, 32]) },
      /0\.key is \[1, 2, 32\]: give 4 axes, \[batch, 2, past, 32\]/,
    ],
    ['a cache that is not there', { ...prompt, [names[1]!]: undefined }, /the feeds lack past_key_values\.0\.value/],
    ['a tensor that was disposed', { ...prompt, input_ids: disposed() }, /input_ids is a tensor that was disposed/],
    ['other channels', { ...prompt, ...caches([1, 2, 2, 16]) }, /0\.key is \[1, 2, 2, 16\]: give \[1, 2, 2, 32\]/],
    [
      'caches of different lengths',
      { ...prompt, ...caches([1, 2, 2, 32]), [names[3]!]: caches([1, 2, 3, 32])[names[3]!] },
      /1\.value is \[1, 2, 3, 32\]: give \[1, 2, 2, 32\]/,
    ],
  ])('refuses %s', async (_, feeds, message) => {
    const filled = /1, 2, 2, 32/.test(message.source.replaceAll('\\', ''));
    const given = filled ? { ...(feeds as Run), attention_mask: ids(1, 1, 1, 1) } : (feeds as Run);
    expect(await refusal(() => session.run(given))).toMatch(message);
    expect(session.cacheBytes).toBe(0);
  });

  it('refuses outputs that are none', async () => {
    expect(await refusal(() => session.run(prompt, ['nothing']))).toMatch(
      /fetches hold nothing: the outputs are logits/,
    );
  });

  it('ends what runs when a session is released, and says of its caches that they are gone', async () => {
    const own = await createHipSession(ort, model, { threads: 1 });
    const running = own.run(prompt);
    const released = own.release();
    const outputs = await running;
    await released;
    expect(outputs['logits']!.dims).toEqual([1, 2, 40]);
    expect(await refusal(() => outputs['present.0.key']!.getData())).toMatch(/was disposed/);
    expect(await refusal(() => own.run(prompt))).toMatch(/was released/);
  });
});
