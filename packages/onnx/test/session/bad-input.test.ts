// What a caller hands over by mistake: a typed error that names it and says what to give; nothing is lost.
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
    [{ layers: 0 }, /layers is 0: give a list/],
    [{ partTokens: -1 }, /partTokens is -1/],
    [{ maxTokens: 0 }, /maxTokens is 0/],
  ])('refuses options %o', async (options, message) => {
    expect(await refusal(() => createHipSession(ort, model, options as HipSessionOptions))).toMatch(message);
  });

  it('refuses a configuration before it reads weights', async () => {
    await expect(createHipSession(ort, model, { config: { k: -1 } })).rejects.toThrow(/k is -1/);
  });

  it('useHip refuses what is no model', async () => {
    expect(await refusal(() => useHip(undefined as never))).toMatch(/^invalid-option: the model is undefined/);
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
