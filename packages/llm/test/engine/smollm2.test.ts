// SmolLM2-135M from its GGUF as published: memory, logits, losses and greedy ids of an independent float32 implementation.
import '@hip/testing';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '@hip/checkpoints';
import { missingShared, sharedPath } from '@hip/testing';
import { loadEngine } from '../../src/engine/load.ts';
import { planEngine } from '../../src/engine/plan.ts';
import type { Engine } from '../../src/engine/types.ts';
import { argmaxRows, normError, tensorsOf } from '../helpers/compare.ts';

const missing = missingShared('models/smollm2-135m-instruct', 'goldens/smollm2');
const folder = missing ? '' : sharedPath('models', 'smollm2-135m-instruct')!;
const goldens = missing ? '' : sharedPath('goldens', 'smollm2')!;
const model = join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf');
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

interface Turn {
  readonly input_ids: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly margins: readonly number[];
}

describe.skipIf(missing)(`SmolLM2${missing}`, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await loadEngine(model, { contextTokens: 2048, threads: 2 });
  });
  afterAll(() => engine?.close());

  it('takes what the plan says, 1.3 of its file at most, and 23,040 bytes a token', async () => {
    const { weights, scratch, total, cache } = engine.memory;
    expect(cache).toBe(0);
    expect(weights + scratch).toBe(total);
    expect(total).toBeLessThan(1.3 * statSync(model).size);
    await using checkpoint = await openCheckpoint(model);
    const plan = await planEngine(checkpoint, { contextTokens: 2048, threads: 2 });
    expect(plan.weights).toBe(weights);
    const dense = await planEngine(checkpoint, { contextTokens: 2048, threads: 2, attention: 'dense' });
    // Pages, and a table of 8 addresses a layer.
    expect(dense.cache).toBe(2048 * 23_040 + 30 * 64);
    expect(plan.cache).toBeGreaterThan(dense.cache);
    const sequence = engine.createSequence();
    await sequence.forward([1, 2, 3], { logits: 'none' });
    expect(engine.memory.cache).toBeLessThan(256 * 23_040 + 30 * 256);
    expect(engine.memory.total).toBeLessThan(plan.total);
    sequence.dispose();
  });

  it('gives the logits of a chat', async () => {
    const tensors = await tensorsOf(join(goldens, 'golden.safetensors'));
    const ids = tensors.get('chat.input_ids')!;
    const sequence = engine.createSequence();
    const logits = await sequence.forward(ids, { logits: 'all' });
    sequence.dispose();
    const expected = tensors.get('chat.logits_last4')!;
    const last = logits.subarray(-expected.length);
    expect(normError(last, expected)).toBeLessThan(2e-3);
    expect(argmaxRows(last, engine.vocabulary)).toEqual(argmaxRows(expected, engine.vocabulary));
  });

  it('has the losses of a book, within half a percent of perplexity', async () => {
    const books = await tensorsOf(join(goldens, 'books.safetensors'));
    const ids = books.get('war-and-peace.0.input_ids')!.subarray(0, 512);
    const sequence = engine.createSequence();
    const losses = await sequence.losses(ids);
    sequence.dispose();
    const expected = books.get('war-and-peace.0.nll')!.subarray(0, 511);
    expect(losses).toHaveLength(511);
    expect(Math.abs(Math.exp(mean(losses) - mean(expected)) - 1)).toBeLessThan(0.005);
    expect(losses).toBeAllclose(expected, { atol: 0.05, rtol: 0.02 });
  });

  it('chooses the tokens of a conversation, its turns continued in the cache', async () => {
    const { conversations } = JSON.parse(readFileSync(join(goldens, 'chats.json'), 'utf8')) as {
      conversations: readonly (readonly Turn[])[];
    };
    const turns = conversations.find(({ length }) => length > 1)!;
    const sequence = engine.createSequence();
    const held: number[] = [];
    for (const { input_ids: prompt, greedy_ids: answer, margins } of turns) {
      expect(prompt.slice(0, held.length)).toEqual(held);
      let logits = await sequence.forward(prompt.slice(held.length));
      for (const [at, id] of answer.entries()) {
        const [found] = argmaxRows(logits, logits.length);
        expect([at, found === id || margins[at]! <= 0.05]).toEqual([at, true]);
        if (at < answer.length - 1) logits = await sequence.forward([id]);
      }
      held.length = 0;
      held.push(...prompt, ...answer.slice(0, -1));
    }
    expect(sequence.length).toBe(held.length);
    sequence.dispose();
  });
});
