// Sequences: chunks, steps, forks and cuts give what one run gives; what fails or is aborted leaves no trace; several at once.
import '@hip/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LlmError } from '../../src/errors.ts';
import { openCheckpoint } from '@hip/checkpoints';
import { loadEngine } from '../../src/engine/load.ts';
import { planEngine } from '../../src/engine/plan.ts';
import type { Engine } from '../../src/engine/types.ts';
import { relativeError, withEngine } from '../helpers/compare.ts';
import { tinyModel } from '../helpers/tiny.ts';

const CONTEXT = 700;
const VOCABULARY = 40;
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % VOCABULARY);

const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: unknown) => (error instanceof LlmError ? error.code : error),
  );

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine(tinyModel().files, { threads: 1, cache: 'f32', contextTokens: CONTEXT });
});
afterAll(() => engine.close());

describe('a sequence', () => {
  it('gives the same logits however its tokens are cut into calls, forked or cut back', async () => {
    const ids = text(24);
    const whole = engine.createSequence();
    const expected = await whole.forward(ids, { logits: 'all' });
    whole.dispose();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ take: fc.integer({ min: 1, max: 9 }), act: fc.constantFrom('go', 'back', 'fork') }), {
          minLength: 1,
          maxLength: 8,
        }),
        async (steps) => {
          let sequence = engine.createSequence();
          let worst = 0;
          for (const { take, act } of steps) {
            if (act === 'fork') {
              const fork = sequence.fork();
              await sequence.forward([5, 6, 7].slice(0, take), { logits: 'none' });
              sequence.dispose();
              sequence = fork;
            }
            if (act === 'back') {
              const kept = sequence.length;
              await sequence.forward(text(take, 3), { logits: 'none' });
              sequence.truncate(kept);
            }
            const at = sequence.length;
            const part = ids.slice(at, at + take);
            const logits = await sequence.forward(part, { logits: 'all' });
            const rows = expected.subarray(at * VOCABULARY, (at + part.length) * VOCABULARY);
            worst = Math.max(worst, part.length === 0 ? 0 : relativeError(logits, rows));
          }
          sequence.dispose();
          expect(worst).toBeLessThan(1e-5);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('runs longer texts than pass through the layers at a time, and says how far it is', async () => {
    const ids = text(600);
    const sequence = engine.createSequence();
    const progress: number[] = [];
    const all = await sequence.forward(ids, {
      logits: 'all',
      onProgress: (done, total) => progress.push(done / total),
    });
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(1);
    const steps = engine.createSequence();
    await steps.forward(ids.slice(0, 590), { logits: 'none' });
    const last = await steps.forward(ids.slice(590));
    expect(relativeError(last, all.subarray(-VOCABULARY))).toBeLessThan(1e-5);
    sequence.dispose();
    steps.dispose();
  });

  it('has losses that are the logits’ cross-entropies, across runs', async () => {
    const ids = text(530, 5);
    const [a, b] = [engine.createSequence(), engine.createSequence()];
    const logits = await a.forward(ids, { logits: 'all' });
    const expected = ids.slice(1).map((id, row) => {
      const values = logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY);
      const mass = values.reduce((sum, value) => sum + Math.exp(value), 0);
      return Math.log(mass) - values[id]!;
    });
    expect(await b.losses(ids)).toBeAllclose(expected, { atol: 1e-5, rtol: 1e-5 });
    // After other tokens: of all but the first of these.
    a.truncate(100);
    expect(await a.losses(ids.slice(100))).toBeAllclose(expected.slice(100), { atol: 1e-4, rtol: 1e-4 });
    a.dispose();
    b.dispose();
  });

  it('is as it was when a step is aborted between slices', async () => {
    const sequence = engine.createSequence();
    await sequence.forward(text(20), { logits: 'none' });
    const probe = sequence.fork();
    const expected = await probe.forward([3]);
    for (const after of [0, 1, 4, 9]) {
      const abort = new AbortController();
      let calls = 0;
      const run = sequence.forward(text(560, 2), {
        signal: abort.signal,
        onProgress: () => {
          if (calls++ === after) abort.abort(new Error('enough'));
        },
      });
      expect(await codeOf(run)).toBe('aborted');
      expect(sequence.length).toBe(20);
    }
    expect(await sequence.forward([3])).toEqual(expected);
    const aborted = AbortSignal.abort();
    expect(await codeOf(sequence.forward([1], { signal: aborted }))).toBe('aborted');
    sequence.dispose();
    probe.dispose();
  });

  it('refuses what does not fit, ids that are none, and two calls at once', async () => {
    const sequence = engine.createSequence();
    await sequence.forward(text(690), { logits: 'none' });
    const refused = await sequence.forward(text(11)).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'context-full',
      details: { length: 690, given: 11, contextTokens: CONTEXT },
    });
    for (const id of [-1, VOCABULARY, 1.5, NaN]) {
      expect(await codeOf(sequence.forward([1, id]))).toBe('invalid-input');
    }
    const first = sequence.forward([1]);
    expect(await codeOf(sequence.forward([1]))).toBe('busy');
    expect(() => sequence.truncate(0)).toThrow(expect.objectContaining({ code: 'busy' }));
    expect(() => sequence.fork()).toThrow(expect.objectContaining({ code: 'busy' }));
    await first;
    expect(sequence.length).toBe(691);
    expect(() => sequence.truncate(692)).toThrow(expect.objectContaining({ code: 'invalid-input' }));
    expect(await sequence.forward([])).toHaveLength(0);
    sequence.dispose();
    expect(await codeOf(sequence.forward([1]))).toBe('closed');
  });

  it('shares the engine with others: each gets its own logits when all run at once', async () => {
    const texts = [text(300, 1), text(520, 2), text(3, 3), text(41, 4)];
    const alone: Float32Array[] = [];
    for (const ids of texts) {
      const sequence = engine.createSequence();
      alone.push(await sequence.forward(ids));
      sequence.dispose();
    }
    const sequences = texts.map(() => engine.createSequence());
    const together = await Promise.all(sequences.map((sequence, i) => sequence.forward(texts[i]!)));
    expect(together).toEqual(alone);
    const before = engine.memory.cache;
    for (const sequence of sequences) sequence.dispose();
    expect(before).toBeGreaterThan(0);
    expect(engine.memory.cache).toBe(0);
  });

  it('ends a step that runs when it is disposed of', async () => {
    const sequence = engine.createSequence();
    const run = sequence.forward(text(560), { onProgress: () => sequence.dispose() });
    expect(await codeOf(run)).toBe('closed');
    expect(engine.memory.cache).toBe(0);
  });
});

describe('failures', () => {
  it('names the position after which logits are not finite, and leaves the sequence as it was', async () => {
    // Token 7's embedding overflows the norm's sum of squares; the layers see it only from its position on.
    const { files } = tinyModel(
      {},
      {
        change: (name, values) => {
          if (name === 'embeddings.token.weight') values[7 * 32] = NaN;
        },
      },
    );
    await withEngine(files, { contextTokens: 600 }, async (own) => {
      const sequence = own.createSequence();
      await sequence.forward([1, 2, 3], { logits: 'none' });
      for (const logits of ['last', 'all', 'none'] as const) {
        const failed = await sequence.forward([1, 7, 2], { logits }).catch((error: unknown) => error);
        expect(failed).toMatchObject({ code: 'non-finite-logits', details: { position: 4 } });
        expect(sequence.length).toBe(3);
      }
      expect(await codeOf(sequence.losses([7, 7]))).toBe('non-finite-logits');
    });
  });

  it('holds the window of a layer that slides, and computes anew what was given back', async () => {
    const { files } = tinyModel({
      architectures: ['MistralForCausalLM'],
      model_type: 'mistral',
      sliding_window: 16,
      num_hidden_layers: 2,
    });
    const ids = text(1800);
    await withEngine(files, { contextTokens: 2000 }, async (own) => {
      const rowOf = async (tokens: readonly number[]) => {
        const fresh = own.createSequence();
        const row = await fresh.forward(tokens);
        fresh.dispose();
        return row;
      };
      const sequence = own.createSequence();
      await sequence.forward(ids.slice(0, 600), { logits: 'none' });
      const few = own.memory.cache;
      await sequence.forward(ids.slice(600), { logits: 'none' });
      // Pages of 256 tokens, of each layer those of 527 and what a call adds.
      expect(own.memory.cache).toBeLessThan(1.7 * few);
      await using checkpoint = await openCheckpoint(files);
      const plan = await planEngine(checkpoint, { contextTokens: 2000, threads: 1, backend: 'wasm' });
      expect(own.memory.cache).toBeLessThanOrEqual(plan.cache);
      expect(plan.cache).toBeLessThan(2.2 * few);
      for (const length of [1780, 700, 300]) {
        const fork = sequence.fork();
        sequence.truncate(length);
        const failed = sequence.forward([1, 2], { signal: AbortSignal.abort() });
        expect(await codeOf(failed)).toBe('aborted');
        expect(sequence.tokens).toEqual(ids.slice(0, length));
        const saved = await sequence.save();
        const again = await own.restoreSequence(saved);
        saved[Symbol.dispose]();
        const expected = await rowOf([...ids.slice(0, length), 7]);
        for (const each of [sequence, again])
          expect(relativeError(await each.forward([7]), expected)).toBeLessThan(1e-5);
        sequence.truncate(length);
        for (const each of [again, fork]) each.dispose();
      }
      sequence.dispose();
      expect(own.memory.cache).toBe(0);
    });
  });

  it('closes with calls under way', async () => {
    const own = await loadEngine(tinyModel().files, { threads: 1 });
    const sequence = own.createSequence();
    const run = sequence.forward(text(500), { onProgress: () => own.close() });
    expect(await codeOf(run)).toBe('closed');
    expect(() => own.createSequence()).toThrow(expect.objectContaining({ code: 'closed' }));
    expect(await codeOf(sequence.forward([1]))).toBe('closed');
    own.close();
  });

  it('refuses options and models by name', async () => {
    const { files } = tinyModel();
    for (const options of [
      { weights: 'q5' as never },
      { cache: 'f64' as never },
      { contextTokens: 0 },
      { attention: 'sparse' as never },
      { attention: { denseBelow: NaN } },
      { attention: { config: { k: -1 } } },
    ]) {
      const failed = await loadEngine(files, options).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(LlmError);
      expect(failed).toMatchObject({ code: 'invalid-input' });
    }
    expect(await codeOf(loadEngine(files, { signal: AbortSignal.abort() }))).toBe('aborted');
  });
});
