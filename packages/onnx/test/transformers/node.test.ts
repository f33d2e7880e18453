// transformers.js in Node with and without HiP: pipeline, chat template, streamer, caches over several turns.
import { tmpdir } from 'node:os';
import { missingShared, sharedPath } from '@hip/testing';
import * as ort from 'onnxruntime-node';
import {
  DynamicCache,
  env,
  ones_like,
  pipeline,
  TextStreamer,
  type Tensor,
  type TextGenerationPipeline,
} from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useHip, type HipSession } from '../../src/index.ts';
import { goldenFolder } from '../helpers/goldens.ts';

const missing = missingShared('goldens/onnx');

describe.skipIf(missing).each([
  ['hub-llama', 'fp32'],
  ['hub-qwen3-q4f16', 'q4f16'],
] as const)(`transformers.js, %s${missing}`, (name, dtype) => {
  let plain: TextGenerationPipeline;
  let generator: TextGenerationPipeline;
  let session: HipSession;
  let replaced: unknown;

  beforeAll(async () => {
    env.allowRemoteModels = false;
    env.localModelPath = `${sharedPath('goldens', 'onnx')!}/`;
    plain = await pipeline('text-generation', name, { device: 'cpu', dtype });
    generator = await pipeline('text-generation', name, { device: 'cpu', dtype });
    replaced = generator.model.sessions['model'];
    session = await useHip(generator.model, { config: { k: 256 }, threads: 1 });
  });
  afterAll(async () => {
    await plain.dispose();
    await generator.dispose();
  });

  const options = { max_new_tokens: 64, do_sample: false, eos_token_id: -1 } as const;
  const text = 'The quick brown fox jumps over the lazy dog.';

  it('has taken the session’s place', () => {
    expect(generator.model.sessions['model']).toBe(session);
    expect(session.attentions).toBe(2);
  });

  it('has freed the session whose place it took', async () => {
    const { inputNames } = session;
    const run = async (feeds: object) => (replaced as { run(feeds: object): Promise<unknown> }).run(feeds);
    const feeds = Object.fromEntries(inputNames.map((input) => [input, new ort.Tensor('int64', [1n], [1, 1])]));
    await expect(run(feeds)).rejects.toThrow(/dispose|release/i);
  });

  it('generates the same 64 tokens', async () => {
    const [own, hip] = [await plain(text, options), await generator(text, options)];
    expect(hip).toEqual(own);
    expect(session.cacheBytes).toBe(0);
  });

  it('chats by the template, and streams what it says', async () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Who are you?' },
    ];
    const pieces: string[] = [];
    const streamer = new TextStreamer(generator.tokenizer, {
      skip_prompt: true,
      callback_function: (piece) => void pieces.push(piece),
    });
    const [own, hip] = [await plain(messages, options), await generator(messages, { ...options, streamer })];
    expect(hip).toEqual(own);
    expect(pieces.length).toBeGreaterThan(1);
  });

  it('goes on over one cache, and begins anew', async () => {
    const two = async (from: TextGenerationPipeline): Promise<readonly unknown[]> => {
      const cache = new DynamicCache();
      const inputs = from.tokenizer(text);
      const first = (await from.model.generate({
        ...inputs,
        ...options,
        max_new_tokens: 8,
        past_key_values: cache,
      })) as {
        tolist(): unknown;
      };
      const longer = from.tokenizer(`${text} Then it rests, and the dog wakes.`);
      const length = cache.get_seq_length();
      const again = new DynamicCache();
      const other = (await from.model.generate({
        ...longer,
        ...options,
        max_new_tokens: 8,
        past_key_values: again,
      })) as {
        tolist(): unknown;
      };
      await cache.dispose();
      await again.dispose();
      return [first.tolist(), length, other.tolist()];
    };
    expect(await two(generator)).toEqual(await two(plain));
    expect(session.cacheBytes).toBe(0);
  });

  it('continues a generation from its own cache', async () => {
    const twice = async (from: TextGenerationPipeline): Promise<unknown> => {
      const cache = new DynamicCache();
      const inputs = from.tokenizer(text);
      const first = await from.model.generate({ ...inputs, ...options, max_new_tokens: 8, past_key_values: cache });
      const input_ids = first as Tensor;
      const attention_mask = ones_like(input_ids);
      const second = (await from.model.generate({
        input_ids,
        attention_mask,
        ...options,
        max_new_tokens: 8,
        past_key_values: cache,
      })) as Tensor;
      await cache.dispose();
      return second.tolist();
    };
    expect(await twice(generator)).toEqual(await twice(plain));
  });

  it('finds the files of a model that was loaded from any folder', async () => {
    const elsewhere = await pipeline('text-generation', goldenFolder(name), { device: 'cpu', dtype });
    const before = env.localModelPath;
    try {
      env.localModelPath = tmpdir();
      const hip = await useHip(elsewhere.model, { threads: 1 });
      expect(hip.attentions).toBe(2);
      await expect(useHip(elsewhere.model)).rejects.toThrow(/has HiP already/);
    } finally {
      env.localModelPath = before;
      await elsewhere.dispose();
    }
  });

  it('refuses beams, in words', async () => {
    await expect(generator(text, { ...options, num_beams: 4 })).rejects.toThrow(
      /num_beams is 4: beam search needs caches/,
    );
  });
});
