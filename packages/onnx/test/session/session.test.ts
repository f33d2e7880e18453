// What a session promises besides its numbers: caches handed back and forth, failures without a trace, calls in turn, memory freed.
import { missingShared } from '@hip/testing';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHipSession, OnnxError, type HipSession } from '../../src/index.ts';
import type { OrtTensor } from '../../src/runtime/ort.ts';
import { difference, feedsOf, GOLDENS, goldenTensors, numbers } from '../helpers/goldens.ts';

type Run = Record<string, OrtTensor>;

const missing = missingShared('goldens/onnx');
const NAME = 'genai-llama-fp32-cpu';

function ids(values: readonly number[]): OrtTensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
}

function ones(count: number): OrtTensor {
  return ids(Array.from({ length: count }, () => 1));
}

/** The caches of a run as the next one's inputs. */
function pastOf(run: Run): Run {
  return Object.fromEntries(
    Object.entries(run)
      .filter(([name]) => name.startsWith('present'))
      .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
  );
}

describe.skipIf(missing)(`session${missing}`, () => {
  let session: HipSession;
  let whole: ort.InferenceSession;
  let empty: Run;
  const tokens = [5, 17, 290, 3, 44, 101, 8, 250];

  beforeAll(async () => {
    const path = GOLDENS.get(NAME)!;
    session = await createHipSession(ort, path, { threads: 1 });
    whole = await ort.InferenceSession.create(path);
    const feeds = feedsOf(session, goldenTensors(NAME), 'prefill');
    empty = Object.fromEntries(Object.entries(feeds).filter(([name]) => name.startsWith('past')));
  });
  afterAll(() => session.release());

  /** Runs tokens after a cache. */
  const run = (values: readonly number[], past: Run = empty, before = 0): Promise<Run> =>
    session.run({ input_ids: ids(values), attention_mask: ones(before + values.length), ...past });
  const logits = async (values: readonly number[]): Promise<Float32Array> => {
    const own = await whole.run({ input_ids: ids(values), attention_mask: ones(values.length), ...empty } as never);
    return numbers(own['logits']!).subarray(-300);
  };
  const last = (outputs: Run): Float32Array => numbers(outputs['logits']!).subarray(-300);

  it('has the names and metadata of the whole session', () => {
    expect(session.inputNames).toEqual(whole.inputNames);
    expect(session.outputNames).toEqual(whole.outputNames);
    expect(session.inputMetadata).toEqual(whole.inputMetadata);
    expect(session.attentions).toBe(2);
  });

  it('goes on from one cache twice: each goes its own way', async () => {
    const prompt = await run(tokens);
    const [first, second] = [await run([7], pastOf(prompt), 8), await run([9], pastOf(prompt), 8)];
    const again = await run([11], pastOf(first), 9);
    expect(difference(last(first), await logits([...tokens, 7]))).toBeLessThan(1e-4);
    expect(difference(last(second), await logits([...tokens, 9]))).toBeLessThan(1e-4);
    expect(difference(last(again), await logits([...tokens, 7, 11]))).toBeLessThan(1e-4);
    for (const each of [prompt, first, second, again]) for (const tensor of Object.values(each)) tensor.dispose();
    expect(session.cacheBytes).toBe(0);
  });

  it('goes on from tensors of numbers, of either kind of runtime', async () => {
    const prompt = await whole.run({ input_ids: ids(tokens), attention_mask: ones(8), ...empty } as never);
    const next = await run([7, 9], pastOf(prompt), 8);
    expect(difference(last(next), await logits([...tokens, 7, 9]))).toBeLessThan(1e-4);
    const back = Object.fromEntries(
      await Promise.all(
        Object.entries(pastOf(next)).map(async ([name, tensor]) => {
          return [name, new ort.Tensor('float32', (await tensor.getData()) as Float32Array, tensor.dims)] as const;
        }),
      ),
    );
    const end = await whole.run({ input_ids: ids([11]), attention_mask: ones(11), ...back } as never);
    expect(difference(numbers(end['logits']!), await logits([...tokens, 7, 9, 11]))).toBeLessThan(1e-4);
    for (const tensor of Object.values(next)) tensor.dispose();
  });

  it('runs calls that overlap one after another', async () => {
    const runs = await Promise.all([run(tokens), run(tokens.slice(0, 3)), run([1, 2])]);
    expect(difference(last(runs[1]), await logits(tokens.slice(0, 3)))).toBeLessThan(1e-4);
    expect(difference(last(runs[2]), await logits([1, 2]))).toBeLessThan(1e-4);
    for (const each of runs) for (const tensor of Object.values(each)) tensor.dispose();
  });

  it('leaves a cache as it was where a call fails', async () => {
    const prompt = await run(tokens);
    const bytes = session.cacheBytes;
    await expect(run([300_000], pastOf(prompt), 8)).rejects.toThrow(
      /input_ids\[0, 0\] is 300000: give token ids from 0 to 299/,
    );
    await expect(run([1], pastOf(prompt), 3)).rejects.toThrow(/attention_mask is \[1, 4\]: give \[1, 9\]/);
    expect(session.cacheBytes).toBe(bytes);
    const next = await run([7], pastOf(prompt), 8);
    expect(difference(last(next), await logits([...tokens, 7]))).toBeLessThan(1e-4);
    for (const each of [prompt, next]) for (const tensor of Object.values(each)) tensor.dispose();
  });

  it('takes back what the first layers had appended where a later piece fails', async () => {
    let failing = -1;
    let made = 0;
    const fragile = {
      Tensor: ort.Tensor,
      InferenceSession: {
        create: async (model: Uint8Array) => {
          const piece = await ort.InferenceSession.create(model);
          const index = made++;
          const run = (feeds: ort.InferenceSession.FeedsType, fetches: string[]) => {
            if (index === failing) throw new Error('the device is gone');
            return piece.run(feeds, fetches);
          };
          return { inputNames: piece.inputNames, outputNames: piece.outputNames, run, release: () => piece.release() };
        },
      },
    };
    await using own = await createHipSession(fragile, GOLDENS.get(NAME)!, { threads: 1 });
    const step = (values: readonly number[], past: Run, before: number) =>
      own.run({ input_ids: ids(values), attention_mask: ones(before + values.length), ...past });
    const prompt = await step(tokens, empty, 0);
    failing = 1;
    await expect(step([7], pastOf(prompt), 8)).rejects.toThrow('the device is gone');
    await expect(step(tokens, empty, 0)).rejects.toThrow('the device is gone');
    failing = -1;
    const next = await step([9], pastOf(prompt), 8);
    expect(difference(last(next), await logits([...tokens, 9]))).toBeLessThan(1e-4);
    for (const each of [prompt, next]) for (const tensor of Object.values(each)) tensor.dispose();
    expect(own.cacheBytes).toBe(0);
  });

  it('gives only the outputs that are asked for', async () => {
    const feeds = { input_ids: ids(tokens), attention_mask: ones(8), ...empty };
    const outputs = await session.run(feeds, ['logits']);
    expect(Object.keys(outputs)).toEqual(['logits']);
    expect(session.cacheBytes).toBe(0);
  });

  it('refuses what does not fit together, in words', async () => {
    const prompt = await run(tokens);
    const other = await run(tokens);
    const past = pastOf(prompt);
    const refused = async (feeds: Run): Promise<OnnxError> => {
      const error: unknown = await session.run(feeds).catch((cause: unknown) => cause);
      if (!(error instanceof OnnxError)) throw new Error(`no OnnxError: ${String(error)}`);
      return error;
    };
    const mixed = { ...past, 'past_key_values.1.key': pastOf(other)['past_key_values.1.key']! };
    expect((await refused({ input_ids: ids([1]), attention_mask: ones(9), ...mixed })).message).toMatch(
      /caches of different runs/,
    );
    const two = new ort.Tensor('int64', BigInt64Array.of(1n, 1n), [2, 1]);
    expect((await refused({ input_ids: two, attention_mask: ones(9), ...past })).message).toMatch(
      /holds 2 texts, the cache 1/,
    );
    expect((await refused({ attention_mask: ones(9), ...past })).message).toMatch(/the feeds lack input_ids/);
    for (const tensor of Object.values(prompt)) tensor.dispose();
    expect((await refused({ input_ids: ids([1]), attention_mask: ones(9), ...past })).message).toMatch(/was disposed/);
    for (const tensor of Object.values(other)) tensor.dispose();
    expect(session.cacheBytes).toBe(0);
  });

  it('frees everything on release, and says so afterwards', async () => {
    const own = await createHipSession(ort, GOLDENS.get(NAME)!, { threads: 1 });
    const outputs = await own.run({ input_ids: ids(tokens), attention_mask: ones(8), ...empty });
    expect(own.cacheBytes).toBeGreaterThan(0);
    await own.release();
    await own.release();
    expect(own.cacheBytes).toBe(0);
    await expect(own.run({ input_ids: ids([1]), attention_mask: ones(9), ...pastOf(outputs) })).rejects.toThrow(
      /was released/,
    );
  });

  it('refuses options that are none', async () => {
    const path = GOLDENS.get(NAME)!;
    await expect(createHipSession(ort, path, { layers: [2] })).rejects.toThrow(
      /layers holds 2: the graph has attentions 0 to 1/,
    );
    await expect(createHipSession(ort, path, { layers: [] })).rejects.toThrow(/layers is empty/);
    await expect(createHipSession(ort, path, { device: 'tpu' as 'cpu' })).rejects.toThrow(/device is 'tpu'/);
  });
});
