// Fine-tuning end to end on tiny models: the objective's value, accumulation, learning, resume, abort, memory.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { inputTensors } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { createLoader } from '../../src/data/loader.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { smallestSubnet } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { evaluate, evaluateLoss } from '../../src/train/evaluation/evaluate.ts';
import { fineTune, fineTuneSteps } from '../../src/train/run/fine-tune.ts';
import type { FineTuneProgress } from '../../src/train/run/progress.ts';
import type { FineTuneOptions } from '../../src/train/run/options.ts';
import { SeededRandom, deriveSeed } from '../../src/random.ts';
import { fileStore, memoryStore } from '../../src/train/state/store.ts';
import { planStep } from '../../src/train/step/strategy.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyBert, tinyLlama, weightsOf } from '../helpers/tiny.ts';

const data = textWindows(patternedTokens(800), { length: 8 });

/** Log-probabilities of every row, in doubles from float32 logits. */
async function logProbabilities(model: TransformerModel, batchSize: number, seed: number, subnet?: SubnetConfig) {
  const batch = await createLoader(data, { batchSize, seed }).next();
  const inputs = inputTensors(batch);
  const { logits } = model.forward(inputs, subnet ? { subnet } : {});
  const rows = ((await logits.array()) as number[][][]).flat().map((row) => {
    const max = Math.max(...row);
    const lse = max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0));
    return row.map((x) => x - lse);
  });
  return { rows, labels: batch.labels };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe.each(BACKENDS)('fineTune on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('the first step has the objective of the paper: α·CE(S), then α·CE(S_i) + (1 − α)·KL(S_i, S)', async () => {
    const model = tinyLlama();
    const seed = 5;
    const random = new SeededRandom(deriveSeed(seed, 4));
    const plan = planStep(model.space, { strategy: 'instatune', alpha: 0.3, gamma: 0, subnets: 1 }, random.next);
    const full = await logProbabilities(model, 4, seed);
    const sub = await logProbabilities(model, 4, seed, plan[1]!.subnet);
    const crossEntropy = ({ rows, labels }: typeof full) => mean(rows.map((row, n) => -row[labels[n]!]!));
    const kl = mean(
      full.rows.map((row, n) => row.reduce((sum, logP, i) => sum + Math.exp(logP) * (logP - sub.rows[n]![i]!), 0)),
    );
    const run = fineTuneSteps(model, data, { steps: 1, batchSize: 4, seed });
    const { value } = await run.next();
    const { losses, loss } = value as FineTuneProgress;
    expect(losses[0]).toBeCloseTo(0.3 * crossEntropy(full), 5);
    expect(losses[1]).toBeCloseTo(0.3 * crossEntropy(sub) + 0.7 * kl, 5);
    expect(loss).toBeCloseTo(losses[0]! + losses[1]!, 6);
    await run.return(undefined as never);
    model.dispose();
  });

  it('the hybrid distils from the teacher first (γ = 1), then in place (γ = 0)', async () => {
    const teacher = tinyLlama(2);
    const losses = async (choice: FineTuneOptions) => {
      const model = tinyLlama();
      const steps: (readonly number[])[] = [];
      await fineTune(model, data, {
        steps: 5,
        batchSize: 2,
        // So small a rate leaves the weights alone: a step's losses do not depend on the steps before it.
        learningRate: 1e-30,
        seed: 5,
        teacher,
        ...choice,
        onProgress: (progress) => steps.push(progress.losses),
      });
      model.dispose();
      return steps;
    };
    const [fromTeacher, inPlace] = [await losses({ gamma: 1 }), await losses({ gamma: 0 })];
    // S learns from its teacher or from the labels alone, S_i from another network.
    for (let step = 0; step < 5; step++) {
      expect(fromTeacher[step]![0]).toBeGreaterThan(inPlace[step]![0]! + 1e-3);
      expect(Math.abs(fromTeacher[step]![1]! - inPlace[step]![1]!)).toBeGreaterThan(1e-3);
    }
    for (const [teacherShare, first] of [
      [0.4, 2],
      [0.8, 4],
      [undefined, 3],
      [0, 0],
      [1, 5],
    ] as const) {
      expect(await losses({ gamma: 'hybrid', teacherShare })).toEqual([
        ...fromTeacher.slice(0, first),
        ...inPlace.slice(first),
      ]);
    }
    teacher.dispose();
  });

  it('blended rows are held to both labels by their shares, and to the teacher as any row', async () => {
    const model = tinyLlama();
    const seed = 5;
    const { rows, labels } = await logProbabilities(model, 4, seed);
    const others = labels.map((label) => (label + 1) % rows[0]!.length);
    const share = Float32Array.from(labels, (_, row) => (row % 5) / 4);
    const blended: Dataset = {
      length: data.length,
      batch: async (indices) => ({ ...(await data.batch(indices)), mixed: { labels: others, share } }),
    };
    const run = fineTuneSteps(model, blended, {
      strategy: 'kd-only',
      teacher: model,
      gamma: 1,
      steps: 1,
      batchSize: 4,
      seed,
    });
    const { value } = await run.next();
    const expected = mean(rows.map((row, n) => -share[n]! * row[labels[n]!]! - (1 - share[n]!) * row[others[n]!]!));
    // The model is its own teacher: KL is nought.
    expect((value as FineTuneProgress).losses).toEqual([expect.closeTo(0.3 * expected, 5)]);
    await run.return(undefined as never);
    model.dispose();
  });

  it('accumulated micro-batches of different sizes equal one large batch', async () => {
    const indices = [3, 14, 15, 9, 26, 5];
    const loader = (parts: number[][]) => {
      let next = 0;
      return {
        batchesPerEpoch: parts.length,
        epoch: 0,
        next: async () => data.batch(parts[next++ % parts.length]!),
        state: () => ({ epoch: 0, position: next }),
        restore: async () => {},
      };
    };
    const run = async (parts: number[][]) => {
      const model = tinyLlama();
      const result = await fineTune(model, loader(parts), {
        steps: 2,
        accumulate: parts.length,
        learningRate: 1e-2,
        seed: 1,
      });
      const weights = await weightsOf(model);
      model.dispose();
      return { weights, losses: result.history.map((point) => point.loss) };
    };
    const large = await run([indices]);
    const small = await run([indices.slice(0, 1), indices.slice(1, 4), indices.slice(4)]);
    small.losses.forEach((loss, i) => expect(loss).toBeCloseTo(large.losses[i]!, 5));
    for (const [name, values] of large.weights) {
      const other = small.weights.get(name)!;
      // Adam's first steps are ±lr whatever the gradient's size: only weights with a gradient near 0 may differ.
      const far = values.filter((value, i) => Math.abs(value - other[i]!) > 1e-4).length;
      expect(far, name).toBeLessThanOrEqual(Math.ceil(values.length * 0.02));
    }
  });
});

describe('fineTune', () => {
  const options: FineTuneOptions = {
    steps: 9,
    batchSize: 3,
    learningRate: 5e-3,
    seed: 11,
    dropout: 0.1,
    accumulate: 2,
    optimizer: { layerDecay: 0.9 },
  };
  let folder = '';
  beforeAll(async () => {
    await useBackend('wasm');
    folder = await mkdtemp(join(tmpdir(), 'instatune-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(['file', 'memory'])(
    'a run stopped and resumed from a %s store is bit for bit the run that was not',
    async (kind) => {
      const straight = tinyLlama();
      const whole = await fineTune(straight, data, options);
      const store = kind === 'file' ? fileStore(join(folder, 'deep/state.safetensors')) : memoryStore();
      const first = tinyLlama();
      for await (const { step } of fineTuneSteps(first, data, { ...options, checkpoint: { store } }))
        if (step === 4) break;
      first.dispose();
      // The weights that the run began with: everything else must come from the store.
      const second = tinyLlama();
      const resumed = await fineTune(second, data, { ...options, checkpoint: { store } });
      expect(resumed.resumedFrom).toBe(4);
      expect(resumed.history).toEqual(whole.history);
      expect(await weightsOf(second)).toEqual(await weightsOf(straight));
      // Nothing half-written is left beside the state.
      expect(kind === 'file' ? await readdir(join(folder, 'deep')) : []).toEqual(
        kind === 'file' ? ['state.safetensors'] : [],
      );
      // A finished run is not run again.
      expect((await fineTune(second, data, { ...options, checkpoint: { store } })).resumedFrom).toBe(9);
      straight.dispose();
      second.dispose();
    },
  );

  it('does not go on with other weights or other examples than it began with', async () => {
    const store = memoryStore();
    const steps = { ...options, steps: 2, checkpoint: { store } };
    const model = tinyLlama();
    await fineTune(model, data, steps);
    const other = tinyLlama(99);
    const before = await weightsOf(other);
    await expect(fineTune(other, data, steps)).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    expect(await weightsOf(other)).toEqual(before);
    const changed: Dataset = {
      length: data.length,
      batch: async (indices) => {
        const batch = await data.batch(indices);
        const labels = batch.labels.map((label, i) => (indices.includes(3) && i === 0 ? label ^ 1 : label));
        return { ...batch, labels };
      },
    };
    await expect(fineTune(model, changed, steps)).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    expect((await fineTune(model, data, steps)).resumedFrom).toBe(2);
    model.dispose();
    other.dispose();
  });

  it('a state with any byte changed, missing or added is refused, and the model left as it was', async () => {
    const store = memoryStore();
    const model = tinyLlama();
    await fineTune(model, data, { ...options, steps: 1, checkpoint: { store } });
    const state = (await store.load())!;
    const before = await weightsOf(model);
    const spoiled = fc.oneof(
      fc.tuple(fc.nat({ max: state.length - 1 }), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
        const bytes = state.slice();
        bytes[at] = (bytes[at] as number) ^ flip;
        return bytes;
      }),
      fc.nat({ max: state.length - 1 }).map((length) => state.slice(0, length)),
      fc.uint8Array({ minLength: 1, maxLength: 16 }).map((more) => new Uint8Array([...state, ...more])),
    );
    await fc.assert(
      fc.asyncProperty(spoiled, async (bytes) => {
        const held = { load: async () => bytes, save: async () => {} };
        const run = fineTune(model, data, { ...options, steps: 1, checkpoint: { store: held } });
        await expect(run).rejects.toMatchObject({ code: 'invalid-checkpoint' });
      }),
      { numRuns: 60 },
    );
    expect(await weightsOf(model)).toEqual(before);
    model.dispose();
  });

  it.each(['file', 'memory'])('two runs on one %s store: the second is refused, the first goes on', async (kind) => {
    const path = join(folder, 'shared.safetensors');
    const shared = memoryStore();
    const store = () => (kind === 'file' ? fileStore(path) : shared);
    const [first, second] = [tinyLlama(), tinyLlama()];
    const run = fineTuneSteps(first, data, { ...options, steps: 2, checkpoint: { store: store(), everySteps: 1 } });
    await run.next();
    await expect(
      fineTune(second, data, { ...options, steps: 2, checkpoint: { store: store() } }),
    ).rejects.toMatchObject({ code: 'file-access' });
    while (!(await run.next()).done);
    const again = await fineTune(second, data, { ...options, steps: 2, checkpoint: { store: store() } });
    expect(again.resumedFrom).toBe(2);
    first.dispose();
    second.dispose();
  });

  it.each(['ENOSPC', 'EROFS'])(
    '%s while a state is saved is typed, and the state that was there stays',
    async (code) => {
      const store = fileStore(join(folder, code, 'state.safetensors'));
      await store.save([new Uint8Array([1])]);
      const files = process.getBuiltinModule('node:fs/promises');
      const refuse = vi
        .spyOn(files, 'open')
        .mockRejectedValue(Object.assign(new Error(code), { code, syscall: 'open' }));
      await expect(store.save([new Uint8Array([2])])).rejects.toMatchObject({ code: 'file-access', details: { code } });
      refuse.mockRestore();
      expect(await store.load()).toEqual(new Uint8Array([1]));
      expect(await readdir(join(folder, code))).toEqual(['state.safetensors']);
    },
  );

  it('what a process that was killed while saving left beside the state is removed, what a running one writes is not', async () => {
    const path = join(folder, 'left/state.safetensors');
    await mkdir(join(folder, 'left'));
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    const others = [`state.safetensors.${process.pid}.tmp`, 'state.safetensors.old', 'other.safetensors.1.tmp'];
    for (const name of [`state.safetensors.${child.pid}.tmp`, ...others])
      await writeFile(join(folder, 'left', name), '');
    expect(await fileStore(path).load()).toBeUndefined();
    expect((await readdir(join(folder, 'left'))).toSorted()).toEqual(others.toSorted());
  });

  it('equal seeds give equal runs, other seeds other runs', async () => {
    const losses = async (seed: number) => {
      const model = tinyLlama();
      const { history } = await fineTune(model, data, { ...options, steps: 3, seed });
      model.dispose();
      return history.map((point) => point.loss);
    };
    const first = await losses(1);
    expect(await losses(1)).toEqual(first);
    expect(await losses(2)).not.toEqual(first);
  });

  it('abort saves, then throws aborted', async () => {
    const model = tinyLlama();
    const store = memoryStore();
    const controller = new AbortController();
    const run = fineTune(model, data, {
      ...options,
      checkpoint: { store },
      signal: controller.signal,
      onProgress: ({ step }) => step === 2 && controller.abort(new Error('enough')),
    });
    await expect(run).rejects.toMatchObject({ code: 'aborted' });
    const resumed = await fineTune(model, data, { ...options, checkpoint: { store } });
    expect(resumed.resumedFrom).toBe(2);
    model.dispose();
  });

  it('does not go on from a damaged state or one of other options', async () => {
    const model = tinyLlama();
    const store = memoryStore();
    await fineTune(model, data, { ...options, steps: 1, checkpoint: { store } });
    const wrong = fineTune(model, data, { ...options, steps: 2, checkpoint: { store } });
    await expect(wrong).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    const path = join(folder, 'damaged');
    await writeFile(path, 'not a state');
    const damaged = fineTune(model, data, { ...options, checkpoint: { store: fileStore(path) } });
    await expect(damaged).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    const other = tinyLlama(1, { intermediate_size: 32 });
    const before = await weightsOf(other);
    const misfit = fineTune(other, data, { ...options, steps: 1, checkpoint: { store } });
    await expect(misfit).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    expect(await weightsOf(other)).toEqual(before);
    // What could not be used is not lost.
    expect(await readFile(path, 'utf8')).toBe('not a state');
    const resumed = await fineTune(model, data, { ...options, steps: 1, checkpoint: { store } });
    expect(resumed.resumedFrom).toBe(1);
    model.dispose();
    other.dispose();
  });

  it('does not go on with other data, and keeps the state', async () => {
    const model = tinyLlama();
    const store = memoryStore();
    const abort = new AbortController();
    const run = fineTune(model, data, {
      ...options,
      checkpoint: { store },
      signal: abort.signal,
      onProgress: ({ step }) => step === 2 && abort.abort(),
    });
    await expect(run).rejects.toMatchObject({ code: 'aborted' });
    const fewer = textWindows(patternedTokens(400), { length: 8 });
    const other = fineTune(model, fewer, { ...options, checkpoint: { store } });
    await expect(other).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    expect((await fineTune(model, data, { ...options, checkpoint: { store } })).resumedFrom).toBe(2);
    model.dispose();
  });

  it('names a strategy, gamma, schedule, seed, number of epochs or of steps between saves that is none', async () => {
    const model = tinyLlama();
    const wrong: Record<string, unknown>[] = [
      { strategy: 'instatun' },
      { gamma: 0.5, teacher: model },
      { schedule: { kind: 'exponential' } },
      { epochs: 0, steps: undefined },
      { epochs: -1, steps: undefined },
      { seed: Number.NaN },
      { seed: 0.5 },
      { checkpoint: { store: memoryStore(), everySteps: 0 } },
      { checkpoint: { store: memoryStore(), everySteps: 1.5 } },
      { checkpoint: { store: memoryStore(), everySeconds: Number.NaN } },
      { checkpoint: { store: memoryStore(), everySeconds: -1 } },
    ];
    for (const one of wrong) {
      const run = fineTune(model, data, { steps: 1, ...one } as FineTuneOptions);
      await expect(run, JSON.stringify(one)).rejects.toMatchObject({ code: 'invalid-option' });
    }
    for (const batchSize of [0, 2.5, Number.NaN]) {
      await expect(evaluate(model, data, { batchSize })).rejects.toMatchObject({ code: 'invalid-option' });
    }
    model.dispose();
  });

  it('names a label that is no class, in training and evaluation', async () => {
    const model = tinyBert();
    const labelled: Dataset = {
      length: 4,
      // The last row has a good label: an index into the row after the wrong one would exist.
      batch: (indices) => ({
        size: indices.length,
        inputIds: { shape: [indices.length, 2], data: new Int32Array(2 * indices.length).fill(5) },
        labels: Int32Array.from(indices, (index) => [0, 3, 1, 0][index]!),
      }),
    };
    const expected = { code: 'invalid-data', details: { label: 3, classes: 3 } };
    await expect(evaluate(model, labelled)).rejects.toMatchObject(expected);
    await expect(fineTune(model, labelled, { steps: 1, batchSize: 4 })).rejects.toMatchObject(expected);
    model.dispose();
  });

  it('an abort of tfjs-wasm is an error that names the batch, and what was saved stays', async () => {
    await useBackend('wasm');
    const store = memoryStore();
    const options = { strategy: 'plain', steps: 4, batchSize: 4, learningRate: 1e-3 } as const;
    const model = tinyLlama();
    const forward = model.forward.bind(model);
    let calls = 0;
    model.forward = (...args) => {
      if (++calls === 3) throw new WebAssembly.RuntimeError('Aborted(). Build with -sASSERTIONS for more info.');
      return forward(...args);
    };
    const run = () => fineTune(model, data, { ...options, checkpoint: { store, everySteps: 1 } });
    await expect(run()).rejects.toMatchObject({
      code: 'out-of-memory',
      message: /tfjs-wasm gave up on 32 tokens .* of 4096 MiB: .*accumulate/,
      details: { rows: 32 },
    });
    expect((await run()).resumedFrom).toBe(2);
    model.dispose();
  });

  it('a loss that is no number is an error that names the step', async () => {
    const model = tinyLlama();
    const weight = model.weights.get('norm.weight')!;
    weight.assign(tf.fill(weight.shape, Number.NaN));
    const store = memoryStore();
    const run = fineTune(model, data, { ...options, checkpoint: { store } });
    await expect(run).rejects.toMatchObject({ code: 'non-finite', details: { step: 1 } });
    expect(await store.load()).toBeUndefined();
    model.dispose();
  });

  it('learns: full model and smallest sub-network both get clearly better', async () => {
    const model = tinyLlama();
    const smallest = smallestSubnet(model.space);
    const before = [await evaluateLoss(model, data), await evaluateLoss(model, data, { subnet: smallest })];
    await fineTune(model, data, { steps: 60, batchSize: 8, learningRate: 1e-2, seed: 2 });
    const after = [await evaluateLoss(model, data), await evaluateLoss(model, data, { subnet: smallest })];
    expect(after[0]).toBeLessThan(before[0]! - 0.5);
    expect(after[1]).toBeLessThan(before[1]! - 0.5);
    const { accuracy, count } = await evaluate(model, data);
    expect(count).toBe(data.length * 8);
    expect(accuracy).toBeGreaterThan(2 / 32);
    model.dispose();
  });

  it('distils from a fixed teacher (γ = 1, hybrid, KD only) and leaves it unchanged', async () => {
    const teacher = tinyLlama(1);
    await fineTune(teacher, data, { steps: 30, batchSize: 8, learningRate: 1e-2, strategy: 'plain' });
    const before = await weightsOf(teacher);
    for (const choice of [{ gamma: 1 }, { gamma: 'hybrid' }, { strategy: 'kd-only' }] as const) {
      const model = tinyLlama(1);
      const { history } = await fineTune(model, data, {
        steps: 20,
        batchSize: 8,
        learningRate: 1e-2,
        teacher,
        temperature: 2,
        ...choice,
      });
      expect(mean(history.slice(-3).map((p) => p.loss)), JSON.stringify(choice)).toBeLessThan(history[0]!.loss);
      model.dispose();
    }
    expect(await weightsOf(teacher)).toEqual(before);
    const missing = fineTune(teacher, data, { gamma: 1 });
    await expect(missing).rejects.toMatchObject({ code: 'invalid-option' });
    teacher.dispose();
  });

  it('memory does not grow over 1,000 steps', async () => {
    const shape = {
      num_hidden_layers: 1,
      hidden_size: 8,
      intermediate_size: 8,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    };
    const model = tinyLlama(1, shape);
    const held: { tensors: number; bytes: number }[] = [];
    // The model caches its rotary tables on first use.
    await evaluateLoss(model, data, { batchSize: data.length });
    const start = tf.memory();
    for await (const { step } of fineTuneSteps(model, data, {
      steps: 1000,
      batchSize: 1,
      learningRate: 1e-3,
      dropout: 0.1,
    })) {
      const { numTensors, numBytes } = tf.memory();
      // Moments exist after every weight had a gradient: the super-network sees to that in step 1.
      if (step === 1 || step % 100 === 0) held.push({ tensors: numTensors, bytes: numBytes });
    }
    expect(held).toEqual(Array.from({ length: 11 }, () => held[0]));
    expect(tf.memory().numTensors).toBe(start.numTensors);
    expect(tf.memory().numBytes).toBe(start.numBytes);
    model.dispose();
  });
});
