// A cached teacher: the answers of the teacher itself, and fewer questions.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { describeGpu } from '@hip/testing';
import { disposeInputs, inputTensors } from '../../src/data/dataset.ts';
import type { HostBatch } from '../../src/data/dataset.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { denseAttention } from '../../src/model/attention/dense.ts';
import type { ElasticModel } from '../../src/model/types.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { createTargets, disposeTargets } from '../../src/train/losses/targets.ts';
import { disposeTeacher } from '../../src/train/losses/distributions.ts';
import type { TeacherDistribution } from '../../src/train/losses/distributions.ts';
import { SeededRandom } from '../../src/random.ts';
import { memoryStore } from '../../src/train/state/store.ts';
import { askTeacher } from '../../src/train/teacher/teacher.ts';
import type { Teacher } from '../../src/train/teacher/teacher.ts';
import { TeacherCache } from '../../src/train/teacher/teacher-cache.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const LENGTH = 6;
const VOCABULARY = 32;
const data = windowsOf(200);
const WINDOW_BYTES = 2 * LENGTH * VOCABULARY;
/** Half a unit in float16's last place, twice: a GPU may round either way. */
const HALF = { rtol: 2 ** -10, atol: 1e-8 };

/** Windows of which no two are alike. */
function windowsOf(tokens: number) {
  const random = new SeededRandom(3);
  return textWindows(
    Int32Array.from({ length: tokens }, () => random.uint32() % VOCABULARY),
    { length: LENGTH },
  );
}

async function numbers(distribution: TeacherDistribution) {
  const probabilities = Float32Array.from(await distribution.probabilities.data());
  const negativeEntropy = Float32Array.from(await distribution.negativeEntropy.data());
  disposeTeacher(distribution);
  return { probabilities, negativeEntropy };
}

async function fromTeacher(teacher: Teacher, batch: HostBatch, temperature = 1) {
  const inputs = inputTensors(batch);
  const targets = createTargets(batch.labels);
  const said = await numbers(askTeacher(teacher, inputs, { targets, temperature }));
  disposeInputs(inputs);
  disposeTargets(targets);
  return said;
}

async function fromCache(cache: TeacherCache, batch: HostBatch, how: Parameters<TeacherCache['ask']>[2] = {}) {
  const inputs = inputTensors(batch);
  try {
    return await numbers(cache.ask(batch, inputs, how));
  } finally {
    disposeInputs(inputs);
  }
}

/** Examples that a model has read, padding of the question included. */
function countReads(model: ElasticModel) {
  const forward = vi.spyOn(model, 'forward');
  return () => forward.mock.calls.reduce((sum, [{ inputIds }]) => sum + (inputIds?.shape[0] ?? 0), 0);
}

/** Texts of a classifier, padded to `columns`. */
function sentences(texts: readonly (readonly number[])[], columns: number): HostBatch {
  const ids = new Int32Array(texts.length * columns);
  const mask = new Int32Array(ids.length);
  for (const [row, text] of texts.entries()) {
    ids.set(text, row * columns);
    mask.fill(1, row * columns, row * columns + text.length);
  }
  const shape = [texts.length, columns];
  return {
    size: texts.length,
    inputIds: { shape, data: ids },
    attentionMask: { shape, data: mask },
    labels: new Int32Array(texts.length),
  };
}

/** @param runs of properties: software GPUs are slow */
function contract(start: () => Promise<void>, runs: number): void {
  beforeAll(start);

  it('says what the teacher says, whatever is kept, and the same again', async () => {
    const models = [tinyLlama(1), tinyLlama(2)];
    await fromTeacher(models, await data.batch([0]));
    const index = fc.integer({ min: 0, max: 11 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(index, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(0, 3 * WINDOW_BYTES, 2 ** 20),
        fc.constantFrom(0.5, 1, 2),
        async (batches, maxBytes, temperature) => {
          const before = tf.memory().numTensors;
          const cache = new TeacherCache(models, { maxBytes });
          const seen = new Map<number, Float32Array>();
          for (const indices of batches) {
            const batch = await data.batch(indices);
            const said = await fromCache(cache, batch, { temperature });
            const expected = await fromTeacher(models, batch, temperature);
            expect(said.probabilities).toBeAllclose(expected.probabilities, HALF);
            expect(said.negativeEntropy).toBeAllclose(expected.negativeEntropy, { rtol: 1e-3, atol: 1e-3 });
            for (const [row, example] of indices.entries()) {
              const width = LENGTH * VOCABULARY;
              const own = said.probabilities.slice(row * width, (row + 1) * width);
              expect(own).toEqual(seen.get(example) ?? own);
              seen.set(example, own);
            }
          }
          const { examples, bytes, hits, misses } = cache.statistics();
          expect(examples).toBe(Math.min(seen.size, Math.floor(maxBytes / WINDOW_BYTES)));
          expect(bytes).toBeLessThanOrEqual(maxBytes);
          expect(bytes).toBeGreaterThanOrEqual(examples * WINDOW_BYTES);
          expect(hits + misses).toBe(batches.flat().length);
          // All fits: each window is asked about once; nothing fits: once a batch.
          const once = batches.map((indices) => new Set(indices).size).reduce((sum, count) => sum + count, 0);
          expect(misses).toBeLessThanOrEqual(maxBytes >= 2 ** 20 ? seen.size : once);
          expect(misses).toBeGreaterThanOrEqual(maxBytes === 0 ? once : seen.size);
          cache.dispose();
          expect(tf.memory().numTensors).toBe(before);
        },
      ),
      { numRuns: runs },
    );
    for (const model of models) model.dispose();
  });

  it('reads a text once, however much padding follows it', async () => {
    const model = tinyBert(3);
    const cache = new TeacherCache(model);
    const reads = countReads(model);
    const texts = [
      [1, 5, 7],
      [1, 9],
      [1, 5, 7, 8, 2],
    ];
    const first = await fromCache(cache, sentences(texts, 5));
    expect(reads()).toBe(3);
    expect(await fromCache(cache, sentences(texts, 8))).toEqual(first);
    expect(reads()).toBe(3);
    // Of a batch with something new only that is asked, in eights, and no more than the batch has.
    const more = await fromCache(cache, sentences([...texts, [1, 9, 4]], 8));
    expect(more.probabilities.subarray(0, 9)).toEqual(first.probabilities);
    expect(reads()).toBe(3 + 4);
    const many = sentences([...texts, ...texts, ...texts, [1, 9, 4], [2, 7]], 8);
    expect((await fromCache(cache, many)).probabilities.subarray(18, 30)).toEqual(more.probabilities);
    expect(reads()).toBe(3 + 4 + 8);
    const expected = await fromTeacher(model, sentences([...texts, [1, 9, 4]], 8));
    expect(more.probabilities).toBeAllclose(expected.probabilities, HALF);
    cache.dispose();
    model.dispose();
  });

  it('tells apart what answers depend on', async () => {
    const model = tinyBert(4, { type_vocab_size: 2 });
    const cache = new TeacherCache(model);
    const plain = sentences([[1, 5, 7]], 3);
    const { shape } = plain.inputIds!;
    const types = (data: Int32Array) => ({ ...plain, tokenTypeIds: { shape, data } });
    const batches = [
      plain,
      sentences([[1, 5]], 3),
      types(Int32Array.of(0, 1, 1)),
      types(Int32Array.of(0, 0, 1)),
      { ...plain, attentionMask: { shape, data: Int32Array.of(1, 0, 1) } },
      { ...plain, attentionMask: { shape, data: Int32Array.of(0, 1, 1) } },
    ];
    for (const [index, batch] of batches.entries()) {
      const said = await fromCache(cache, batch);
      expect(cache.statistics().misses).toBe(index + 1);
      expect(said.probabilities).toBeAllclose((await fromTeacher(model, batch)).probabilities, HALF);
    }
    const cold = await fromCache(cache, plain, { temperature: 0.5 });
    expect(cold.probabilities).toBeAllclose((await fromTeacher(model, plain, 0.5)).probabilities, HALF);
    const attention: typeof denseAttention = (...args) => denseAttention(...args);
    await fromCache(cache, plain, { attention });
    expect(cache.statistics()).toMatchObject({ hits: 0, misses: batches.length + 2 });
    await fromCache(cache, plain, { attention });
    await fromCache(cache, plain, { temperature: 0.5 });
    expect(cache.statistics()).toMatchObject({ hits: 2, misses: batches.length + 2 });
    cache.dispose();
    expect(cache.statistics()).toMatchObject({ examples: 0, bytes: 0 });
    model.dispose();
  });

  it('keeps small probabilities, and rows that sum to 1', async () => {
    const model = tinyLlama(3);
    const batch = await data.batch([0, 1, 2]);
    // Cold: the most likely token has nearly all, others 1e-8 and less.
    const cache = new TeacherCache(model);
    const said = await fromCache(cache, batch, { temperature: 0.05 });
    const expected = await fromTeacher(model, batch, 0.05);
    expect(expected.probabilities.some((p) => p > 1e-8 && p < 1e-6)).toBe(true);
    expect(said.probabilities).toBeAllclose(expected.probabilities, { rtol: 2 ** -9, atol: 1e-11 });
    for (let row = 0; row < batch.labels.length; row++) {
      const sum = said.probabilities.subarray(row * VOCABULARY, (row + 1) * VOCABULARY).reduce((a, b) => a + b, 0);
      expect(Math.abs(sum - 1)).toBeLessThan(1e-6);
    }
    cache.dispose();
    model.dispose();
  });

  it('trains a student as the teacher would, which reads each example once', async () => {
    const teacher = [tinyLlama(6), tinyLlama(7)];
    const examples = windowsOf(110);
    const options = { gamma: 1, temperature: 2, epochs: 2, batchSize: 6, learningRate: 1e-2, seed: 2 } as const;
    const run = async (by: Teacher | TeacherCache) => {
      const student = tinyLlama(5);
      const { history } = await fineTune(student, examples, { ...options, teacher: by });
      student.dispose();
      return history.map(({ loss }) => loss);
    };
    const expected = await run(teacher);
    const reads = countReads(teacher[0]!);
    const cache = new TeacherCache(teacher);
    await fromCache(cache, await examples.batch([0]), { temperature: 2 });
    const before = tf.memory().numTensors;
    expect(await run(cache)).toBeAllclose(expected, { rtol: 2e-3, atol: 1e-4 });
    // Another run has nothing left to ask.
    const once = reads();
    expect(await run(cache)).toBeAllclose(expected, { rtol: 2e-3, atol: 1e-4 });
    expect(reads()).toBe(once);
    expect(cache.statistics()).toMatchObject({ examples: examples.length, misses: examples.length });
    expect(once).toBeLessThan(examples.length + 8);
    expect(tf.memory().numTensors).toBe(before);
    cache.dispose();
    for (const model of teacher) model.dispose();
  });
}

describe.each(BACKENDS)('TeacherCache on %s', (backend) => {
  contract(() => useBackend(backend), 20);

  it('a run stopped and resumed with an empty cache is the run that was not', async () => {
    const teacher = tinyLlama(8);
    const options = { strategy: 'kd-only', steps: 9, batchSize: 8, learningRate: 1e-2 } as const;
    const whole = new TeacherCache(teacher);
    const expected = await fineTune(tinyLlama(9), data, { ...options, teacher: whole });
    const store = memoryStore();
    const abort = new AbortController();
    const student = tinyLlama(9);
    const checkpoint = { store };
    const before = new TeacherCache(teacher);
    const onProgress = ({ step }: { step: number }) => step === 5 && abort.abort();
    const stopped = fineTune(student, data, {
      ...options,
      checkpoint,
      teacher: before,
      signal: abort.signal,
      onProgress,
    });
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
    const after = new TeacherCache(teacher);
    const { history, resumedFrom } = await fineTune(student, data, { ...options, checkpoint, teacher: after });
    expect(resumedFrom).toBe(5);
    expect(history.map(({ loss }) => loss)).toEqual(expected.history.map(({ loss }) => loss));
    for (const cache of [whole, before, after]) cache.dispose();
    teacher.dispose();
    student.dispose();
  });

  it('tells apart ids beyond 65,536, and keeps its own list of models', async () => {
    const model = tinyBert(5, { vocab_size: 70_000 });
    const models = [model];
    const cache = new TeacherCache(models);
    const [low, high] = [sentences([[1, 7]], 2), sentences([[1, 65_543]], 2)];
    const first = await fromCache(cache, low);
    expect((await fromCache(cache, high)).probabilities).toBeAllclose(
      (await fromTeacher(model, high)).probabilities,
      HALF,
    );
    expect(cache.statistics()).toMatchObject({ hits: 0, misses: 2 });
    models.push(tinyBert(6, { vocab_size: 70_000 }));
    const both = await fromCache(
      cache,
      sentences(
        [
          [1, 7],
          [1, 8],
        ],
        2,
      ),
    );
    expect(both.probabilities.subarray(0, 3)).toEqual(first.probabilities);
    const other = (await fromTeacher(model, sentences([[1, 8]], 2))).probabilities;
    expect(both.probabilities.subarray(3)).toBeAllclose(other, HALF);
    cache.dispose();
    for (const each of models) each.dispose();
  });

  it('asks about images each time', async () => {
    const model = tinyVit(1);
    const cache = new TeacherCache(model);
    const pixels = Float32Array.from({ length: 2 * 3 * 8 * 8 }, (_, i) => Math.sin(i));
    const batch: HostBatch = {
      size: 2,
      pixelValues: { shape: [2, 3, 8, 8], data: pixels },
      labels: Int32Array.of(0, 2),
    };
    const expected = await fromTeacher(model, batch);
    expect(await fromCache(cache, batch)).toEqual(expected);
    expect(cache.statistics()).toEqual({ examples: 0, bytes: 0, hits: 0, misses: 0 });
    model.dispose();
  });

  it('refuses what it cannot use, and says so as the teacher would', async () => {
    const model = tinyLlama(1);
    expect(() => new TeacherCache([])).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    for (const maxBytes of [-1, Number.NaN]) {
      expect(() => new TeacherCache(model, { maxBytes })).toThrow(
        expect.objectContaining({ code: 'invalid-option', message: expect.stringMatching(/maxBytes = (-1|NaN)/) }),
      );
    }
    const cache = new TeacherCache(tinyLlama(2, { vocab_size: 48 }));
    await expect(fineTune(model, data, { strategy: 'kd-only', teacher: cache, steps: 1 })).rejects.toMatchObject({
      code: 'invalid-option',
      message: /the teacher has 48 classes, the student 32/,
    });
    const batch = await data.batch([0, 1]);
    await expect(fromCache(cache, { ...batch, labels: batch.labels.subarray(1) })).rejects.toMatchObject({
      code: 'invalid-data',
    });
    cache.dispose();
    model.dispose();
  });
});

it('another backend starts anew', async () => {
  await useBackend('cpu');
  const model = tinyLlama(1);
  const cache = new TeacherCache(model);
  const batch = await data.batch([0, 1]);
  const first = await fromCache(cache, batch);
  await useBackend('wasm');
  expect((await fromCache(cache, batch)).probabilities).toBeAllclose(first.probabilities, HALF);
  expect(cache.statistics()).toMatchObject({ examples: 2, misses: 4 });
  cache.dispose();
  model.dispose();
});

describeGpu('TeacherCache on webgpu', () => {
  contract(startWebGpu, 3);

  it('keeps answers in several buffers', async () => {
    // 4,096 classes a token: the first buffer of 1 MiB holds 21 windows.
    const wide = tinyLlama(1, { vocab_size: 4096 });
    const windows = windowsOf(400);
    const cache = new TeacherCache(wide);
    const indices = Array.from({ length: 60 }, (_, i) => (i * 7) % windows.length);
    for (let from = 0; from < 60; from += 20)
      await fromCache(cache, await windows.batch(indices.slice(from, from + 20)));
    const mixed = [59, 0, 30, 21, 20, 1].map((at) => indices[at]!);
    const said = await fromCache(cache, await windows.batch(mixed));
    expect(cache.statistics().misses).toBe(60);
    const expected = await fromTeacher(wide, await windows.batch(mixed));
    expect(said.probabilities).toBeAllclose(expected.probabilities, HALF);
    cache.dispose();
    wide.dispose();
  });
});
