// Graphs of public exporters, cut and run on onnxruntime-node, equal what onnxruntime makes of the whole graph.
import { missingShared } from '@hip/testing';
import { PAPER_CONFIG } from '@hip/mask-search';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createHipSession, type HipSessionOptions } from '../../src/index.ts';
import { difference, feedsOf, goldenDifferences, GOLDENS, goldenTensors, numbers } from '../helpers/goldens.ts';

const missing = missingShared('goldens/onnx');
const REFUSED = 'optimum-t5-decoder';
/** HiP from the first key on, with as many keys as there are: a search whose mask covers all of them. */
const COVERING: HipSessionOptions = {
  denseBelow: 0,
  config: { ...PAPER_CONFIG, k: 64, window: 8, sink: 2, denseLayers: 0 },
};

/** What differs from the golden. */
async function differences(name: string, options: HipSessionOptions): Promise<readonly string[]> {
  await using session = await createHipSession(ort, GOLDENS.get(name)!, { threads: 1, ...options });
  return await goldenDifferences(name, session);
}

describe.skipIf(missing)(`golden graphs${missing}`, () => {
  const names = [...GOLDENS.keys()].filter((name) => name !== REFUSED);

  it('has the thirty of them', () => {
    expect(GOLDENS.size).toBe(30);
  });

  it.each(names)('%s: a search that covers all keys', async (name) => {
    expect(await differences(name, COVERING)).toEqual([]);
  });

  it('is the same in parts of eight tokens', async () => {
    const found = new Map<string, readonly string[]>();
    for (const name of names) found.set(name, await differences(name, { partTokens: 8 }));
    expect([...found].filter(([, problems]) => problems.length > 0)).toEqual([]);
  });

  it('runs its pieces once for each part, where the graph allows it', async () => {
    let runs = 0;
    const counting = {
      Tensor: ort.Tensor,
      InferenceSession: {
        create: async (...given: Parameters<typeof ort.InferenceSession.create>) => {
          const piece = await ort.InferenceSession.create(...given);
          const { inputNames, outputNames } = piece;
          const run: typeof piece.run = (...call: [never]) => {
            runs++;
            return piece.run(...call);
          };
          return { inputNames, outputNames, run, release: () => piece.release() };
        },
      },
    };
    const counts: Record<string, number> = {};
    for (const name of ['hub-llama', 'hub-qwen3-q4f16', 'optimum-llama', 'dynamo-llama-op23-nocache']) {
      await using session = await createHipSession(counting, GOLDENS.get(name)!, {
        threads: 1,
        partTokens: 8,
      });
      runs = 0;
      await session.run(feedsOf(session, goldenTensors(name), 'prefill'));
      counts[name] = runs / (session.attentions + 1);
    }
    expect(counts).toEqual({
      'hub-llama': 3,
      'hub-qwen3-q4f16': 3,
      'optimum-llama': 3,
      'dynamo-llama-op23-nocache': 1,
    });
  });

  // One of each form: what stays in the graph is onnxruntime's, and its caches are plain tensors.
  it.each([
    'dynamo-llama-op23',
    'dynamo-own-op23-past',
    'genai-gemma2-fp32-cpu',
    'genai-llama-fp16-cpu-mha',
    'genai-qwen3-fp32-cpu',
    'hub-qwen3-q4f16',
    'optimum-llama',
    'ort-gpt2-attention',
  ])('%s: the first layer alone cut', async (name) => {
    expect(await differences(name, { layers: [0] })).toEqual([]);
  });

  it('refuses the decoder of an encoder, in words', async () => {
    await expect(createHipSession(ort, GOLDENS.get(REFUSED)!, { threads: 1 })).rejects.toThrow(
      /EncDecAttention.*cannot be cut out: its keys are not made from input_ids but from encoder_hidden_states: it is a cross-attention/,
    );
  });

  it('refuses positions relative to each other, in words', async () => {
    await expect(createHipSession(ort, GOLDENS.get(REFUSED)!, { threads: 1, layers: [0] })).rejects.toThrow(
      /SelfAttention.*cannot be cut out: .*(?:a bias of .* is added to scores|the caches|cache)/,
    );
  });

  it.each(['dynamo-llama-op23', 'genai-llama-fp32-cpu'])('%s: texts of unequal length, padded', async (name) => {
    const tensors = goldenTensors(name);
    await using session = await createHipSession(ort, GOLDENS.get(name)!, { threads: 1, ...COVERING });
    const { logits } = await session.run(feedsOf(session, tensors, 'batch2'));
    const all = numbers(logits!);
    const half = all.length / 2;
    expect(difference(all.subarray(0, half), numbers(tensors.get('prefill.logits')!))).toBeLessThan(1e-4);
    const mask = Array.from(tensors.get('batch2.attention_mask')!.data as BigInt64Array, Number).slice(24);
    const isToken = (_: number, i: number) => mask[Math.floor(i / 300)] === 1;
    const second = numbers(tensors.get('batch2.logits_1')!);
    expect(difference(all.subarray(half).filter(isToken), second.filter(isToken))).toBeLessThan(1e-4);
  });
});
