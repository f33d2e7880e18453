// @instatune/supernet's models over this package's caches: turns, failures, conversations side by side.
import * as tf from '@tensorflow/tfjs';
import {
  generate,
  loadCheckpoint,
  memoryFiles,
  prefill,
  writeSafetensors,
  type ElasticModel,
} from '@instatune/supernet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import {
  hipModelAttention,
  hipModelCache,
  KvCache,
  type ModelAttention,
  type ModelAttentionOptions,
  type PreparedAttention,
} from '../src/index.ts';
import { BACKENDS, SMALL, TOLERANCE, useBackend } from './helpers.ts';

const OPTIONS: ModelAttentionOptions = {
  config: { ...SMALL, k: 16, stages: undefined, refreshInterval: 4 },
  dense: 'never',
};
const [LAYERS, WIDTH, HEADS, VOCABULARY] = [3, 16, 2, 50];

/** A Llama of random weights. */
async function randomLlama(): Promise<ElasticModel> {
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const tensor = (name: string, ...shape: number[]) => ({
    name: `model.${name}.weight`,
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => (shape.length === 1 ? 1 : 1.7 * next())),
  });
  const [size, ffn] = [WIDTH / HEADS, 16];
  const layer = (l: number) => [
    tensor(`layers.${l}.input_layernorm`, WIDTH),
    tensor(`layers.${l}.post_attention_layernorm`, WIDTH),
    tensor(`layers.${l}.self_attn.q_proj`, WIDTH, WIDTH),
    tensor(`layers.${l}.self_attn.k_proj`, size, WIDTH),
    tensor(`layers.${l}.self_attn.v_proj`, size, WIDTH),
    tensor(`layers.${l}.self_attn.o_proj`, WIDTH, WIDTH),
    tensor(`layers.${l}.mlp.gate_proj`, ffn, WIDTH),
    tensor(`layers.${l}.mlp.up_proj`, ffn, WIDTH),
    tensor(`layers.${l}.mlp.down_proj`, WIDTH, ffn),
  ];
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: WIDTH,
    num_attention_heads: HEADS,
    num_key_value_heads: 1,
    num_hidden_layers: LAYERS,
    intermediate_size: ffn,
    vocab_size: VOCABULARY,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
    eos_token_id: 49,
  };
  const weights = writeSafetensors([
    tensor('embed_tokens', VOCABULARY, WIDTH),
    tensor('norm', WIDTH),
    ...Array.from({ length: LAYERS }, (_, l) => layer(l)).flat(),
  ]);
  const files = new Map([
    ['config.json', new TextEncoder().encode(JSON.stringify(config))],
    ['model.safetensors', weights],
  ]);
  return (await loadCheckpoint(memoryFiles(files))).model;
}

const idsOf = (tokens: number, seed = 0): number[] =>
  Array.from({ length: tokens }, (_, i) => (i * 31 + i * i * 7 + seed) % 49);

async function logitsOf(
  model: ElasticModel,
  ids: readonly number[],
  cache: KvCache | ReturnType<typeof hipModelCache>,
  attention: ModelAttention,
  chunkTokens = 1024,
): Promise<Float32Array> {
  const logits = await prefill(model, ids, cache, { attention, chunkTokens });
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}

describe.each(BACKENDS)('supernet on %s', (backend) => {
  let prepared: PreparedAttention;
  let model: ElasticModel;
  beforeAll(async () => {
    prepared = await useBackend(backend);
    model = await randomLlama();
  });
  afterAll(() => {
    model.dispose();
    prepared.close();
  });

  const start = (kind: string, options = OPTIONS) => {
    if (kind === 'KvCache') return { cache: new KvCache(), attention: hipModelAttention(options) };
    const cache = hipModelCache(options);
    return { cache, attention: cache.attention };
  };

  it.each(['KvCache', 'hipModelCache'])(
    'the whole reply is in the cache, and the next turn goes on from it: %s',
    async (kind) => {
      // Every row has a mask of its own, so that what is said does not hang on how the text was cut.
      const options = { ...OPTIONS, config: { ...OPTIONS.config, blockQ: 1, strideQ: 1, refreshInterval: 1 } };
      const [talk, whole] = [start(kind, options), start(kind, options)];
      const [question, more] = [idsOf(40), idsOf(6, 3)];
      const reply = await generate(model, question, { maxTokens: 9, stopIds: [], ...talk });
      expect(reply).toHaveLength(9);
      expect(talk.cache.length).toBe(49);
      const said = await logitsOf(model, more, talk.cache, talk.attention);
      const right = await logitsOf(model, [...question, ...reply, ...more], whole.cache, whole.attention);
      expect(said).toBeAllclose(right, { rtol: 1e-3, atol: 1e-4 });
      for (const { cache } of [talk, whole]) cache.dispose();
    },
  );

  it.each(['KvCache', 'hipModelCache'])(
    'a prompt that fails in any chunk and layer leaves no trace: %s',
    async (kind) => {
      const ids = idsOf(48, 5);
      for (const [chunk, layer] of [
        [0, 0],
        [0, LAYERS - 1],
        [1, 1],
        [2, 0],
      ] as const) {
        const [tried, never] = [start(kind), start(kind)];
        for (const { cache, attention } of [tried, never])
          for (const part of [idsOf(60), [7]]) await logitsOf(model, part, cache, attention);
        let calls = 0;
        const failing: ModelAttention = (q, k, v, context) => {
          if (context.layer === layer && calls++ === chunk) throw new Error('out of memory');
          return tried.attention(q, k, v, context);
        };
        await expect(logitsOf(model, ids, tried.cache, failing, 16)).rejects.toThrow('out of memory');
        expect(tried.cache.length).toBe(61);
        for (const part of [[3], ids, [5]])
          expect(await logitsOf(model, part, tried.cache, tried.attention, 16)).toEqual(
            await logitsOf(model, part, never.cache, never.attention, 16),
          );
        for (const { cache } of [tried, never]) cache.dispose();
      }
    },
  );

  it('conversations side by side share one function', async () => {
    const talk = async (seed: number, attention: ModelAttention): Promise<Float32Array> => {
      using cache = new KvCache();
      let logits = await logitsOf(model, idsOf(90, seed), cache, attention);
      for (const id of [1, 2, 3, 4, 5]) logits = await logitsOf(model, [id], cache, attention);
      return logits;
    };
    const before = tf.memory().numTensors;
    const shared = hipModelAttention(OPTIONS);
    const together = await Promise.all([0, 1, 2].map((seed) => talk(seed, shared)));
    for (const [seed, logits] of together.entries())
      expect(logits).toEqual(await talk(seed, hipModelAttention(OPTIONS)));
    expect(tf.memory().numTensors).toBe(before);
    expect(together[0]).not.toBeAllclose(together[1]!, TOLERANCE);
  });
});
