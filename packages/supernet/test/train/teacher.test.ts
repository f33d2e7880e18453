// Teachers: one model, ensembles, and what each member sees.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { inputTensors } from '../../src/data/dataset.ts';
import { imageView } from '../../src/data/image-view.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import type { ModelInputs } from '../../src/model/types.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { fineTune } from '../../src/train/fine-tune.ts';
import type { FineTuneOptions } from '../../src/train/options.ts';
import { createTargets, disposeTeacher } from '../../src/train/losses.ts';
import { memoryStore } from '../../src/train/store.ts';
import { askTeacher } from '../../src/train/teacher.ts';
import type { InputView, Teacher, TeacherMember } from '../../src/train/teacher.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama, weightsOf } from '../helpers/tiny.ts';

const data = textWindows(patternedTokens(800), { length: 8 });
const ROWS = [0, 3, 5];

/** Every token's id one up or down, by the seed: another look at a text. */
const shifted: InputView = ({ inputIds, ...rest }, seed) => ({
  ...rest,
  inputIds: tf.mod(tf.add(inputIds!, tf.scalar(1 + (seed % 30), 'int32')), tf.scalar(32, 'int32')) as tf.Tensor2D,
});

/** softmax(z / ρ) of a model's rows, in doubles from float32 logits. */
function softmaxRows(model: TransformerModel, inputs: ModelInputs, temperature: number): number[][] {
  return tf.tidy(() =>
    (model.forward(inputs).logits.arraySync() as number[][][]).flat().map((row) => {
      const most = Math.max(...row);
      const powers = row.map((z) => Math.exp((z - most) / temperature));
      const sum = powers.reduce((total, value) => total + value, 0);
      return powers.map((value) => value / sum);
    }),
  );
}

async function ask(teacher: Teacher, temperature: number, seed = 1) {
  const batch = await data.batch(ROWS);
  const inputs = inputTensors(batch);
  const targets = createTargets(batch.labels);
  try {
    const distribution = askTeacher(teacher, inputs, { targets, temperature, seed });
    const probabilities = (await distribution.probabilities.array()) as number[][];
    const negativeEntropy = (await distribution.negativeEntropy.array()) as number[];
    disposeTeacher(distribution);
    return { probabilities, negativeEntropy };
  } finally {
    tf.dispose([inputs.inputIds!, targets.indices]);
  }
}

describe.each(BACKENDS)('askTeacher on %s', (backend) => {
  let firstRow: ModelInputs;
  beforeAll(async () => {
    await useBackend(backend);
    firstRow = inputTensors(await data.batch([0]));
  });

  it('the mean of the members, and its entropy', async () => {
    const models = [1, 2, 3].map((seed) => tinyLlama(seed));
    const inputs = inputTensors(await data.batch(ROWS));
    for (const model of models) softmaxRows(model, inputs, 1);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 4 }),
        fc.double({ min: 0.25, max: 4, noNaN: true }),
        async (chosen, temperature) => {
          const before = tf.memory().numTensors;
          const { probabilities, negativeEntropy } = await ask(
            chosen.map((index) => models[index]!),
            temperature,
          );
          expect(tf.memory().numTensors).toBe(before);
          const rows = chosen.map((index) => softmaxRows(models[index]!, inputs, temperature));
          const mean = rows[0]!.map((row, n) =>
            row.map((_, i) => rows.reduce((sum, member) => sum + member[n]![i]!, 0) / rows.length),
          );
          expect(probabilities.flat()).toBeAllclose(mean.flat(), { rtol: 1e-4, atol: 1e-6 });
          const entropies = mean.map((row) => row.reduce((sum, p) => sum + p * Math.log(p), 0));
          expect(negativeEntropy).toBeAllclose(entropies, { rtol: 1e-4, atol: 1e-5 });
        },
      ),
      { numRuns: 12 },
    );
    for (const model of models) model.dispose();
    inputs.inputIds!.dispose();
  });

  it('each member looks by its own seed, the same one at the same seed', async () => {
    const model = tinyLlama(1);
    const seeds: number[][] = [];
    const spy = (): InputView => {
      const own: number[] = [];
      seeds.push(own);
      return (inputs, seed) => {
        own.push(seed);
        return shifted(inputs, seed);
      };
    };
    const teacher: TeacherMember[] = [{ model, view: spy() }, { model, view: spy() }, { model }];
    const first = await ask(teacher, 1, 7);
    expect(await ask(teacher, 1, 7)).toEqual(first);
    expect(seeds[0]![0]).toBe(seeds[0]![1]);
    expect(seeds[0]![0]).not.toBe(seeds[1]![0]);
    const other = await ask(teacher, 1, 8);
    expect(other.probabilities).not.toEqual(first.probabilities);
    model.dispose();
  });

  it('an ensemble of one is that model', async () => {
    const model = tinyLlama(4);
    expect(await ask([model], 2)).toEqual(await ask(model, 2));
    expect(await ask([{ model }], 2)).toEqual(await ask(model, 2));
    model.dispose();
  });

  it('refuses no members and members of other classes, and keeps nothing', async () => {
    const model = tinyLlama(1);
    const wider = tinyLlama(2, { vocab_size: 48 });
    // Tables of positions are made at the first use, and stay.
    for (const each of [model, wider]) softmaxRows(each, firstRow, 1);
    const before = tf.memory().numTensors;
    await expect(ask([], 1)).rejects.toMatchObject({ code: 'invalid-option', message: /needs one model/ });
    await expect(ask([model, model, wider], 1)).rejects.toMatchObject({
      code: 'invalid-option',
      message: /member 2 of the teacher has 48 classes, those before it 32/,
    });
    expect(tf.memory().numTensors).toBe(before);
    await expect(fineTune(model, data, { strategy: 'kd-only', teacher: [], steps: 1 })).rejects.toMatchObject({
      code: 'invalid-option',
    });
    model.dispose();
    wider.dispose();
  });

  it('a student of several comes closer to their mean than to each', async () => {
    const [student, ...models] = [5, 6, 7].map((seed) => tinyLlama(seed)) as [TransformerModel, TransformerModel];
    for (const [index, model] of models.entries()) {
      await fineTune(model, data, { strategy: 'plain', steps: 12, batchSize: 8, learningRate: 1e-2, seed: index });
    }
    softmaxRows(student, firstRow, 1);
    const before = tf.memory().numTensors;
    await fineTune(student, data, {
      strategy: 'kd-only',
      alpha: 0,
      teacher: models,
      steps: 60,
      batchSize: 8,
      learningRate: 2e-2,
    });
    expect(tf.memory().numTensors).toBe(before);
    const own = (await ask(student, 1)).probabilities;
    const distance = async (teacher: Teacher) => {
      const { probabilities } = await ask(teacher, 1);
      return probabilities.flat().reduce((sum, p, i) => sum + p * Math.log(p / own.flat()[i]!), 0);
    };
    const toMean = await distance(models);
    for (const model of models) expect(toMean).toBeLessThan(await distance(model));
    for (const model of [student, ...models]) model.dispose();
  });
});

describe('training with an ensemble', () => {
  beforeAll(() => useBackend('cpu'));

  it('a run stopped and resumed sees what the run that was not did', async () => {
    const [a, b] = [tinyLlama(2), tinyLlama(3)];
    const options: FineTuneOptions = {
      gamma: 1,
      teacher: [{ model: a, view: shifted }, b],
      steps: 6,
      batchSize: 4,
      learningRate: 1e-2,
    };
    const whole = tinyLlama(1);
    await fineTune(whole, data, options);
    const store = memoryStore();
    const abort = new AbortController();
    const stopped = tinyLlama(1);
    await expect(
      fineTune(stopped, data, {
        ...options,
        checkpoint: { store },
        signal: abort.signal,
        onProgress: ({ step }) => step === 3 && abort.abort(),
      }),
    ).rejects.toMatchObject({ code: 'aborted' });
    const resumed = tinyLlama(1);
    expect((await fineTune(resumed, data, { ...options, checkpoint: { store } })).resumedFrom).toBe(3);
    expect(await weightsOf(resumed)).toEqual(await weightsOf(whole));
    for (const model of [a, b, whole, stopped, resumed]) model.dispose();
  });
});

describe('imageView', () => {
  beforeAll(() => useBackend('cpu'));
  const made: tf.Tensor[] = [];
  afterEach(() => tf.dispose(made.splice(0)));
  const pixels = () => {
    const tensor = tf.add(tf.reshape(tf.range(0, 2 * 3 * 4 * 5), [2, 3, 4, 5]), 1) as tf.Tensor4D;
    made.push(tensor);
    return tensor;
  };

  it('moves within its reach and mirrors: every place comes up, and is what moving by hand gives', async () => {
    const source = pixels();
    const image = (await source.array()) as number[][][][];
    const moved = (dy: number, dx: number, isMirrored: boolean) =>
      image.map((planes) =>
        planes.map((plane) =>
          plane.map((row, y) => {
            const out = row.map((_, x) => plane[y + dy]?.[x + dx] ?? 0);
            return isMirrored ? out.toReversed() : out;
          }),
        ),
      );
    const expected = new Map<string, string>();
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        for (const isMirrored of [false, true]) {
          expected.set(JSON.stringify(moved(dy, dx, isMirrored)), `${dy},${dx},${isMirrored}`);
        }
      }
    }
    const view = imageView({ shift: 1 });
    const seen = new Set<string | undefined>();
    for (let seed = 0; seed < 400; seed++) {
      const { pixelValues } = view({ pixelValues: source }, seed);
      made.push(pixelValues!);
      seen.add(expected.get(JSON.stringify(await pixelValues!.array())));
    }
    expect(seen).toEqual(new Set(expected.values()));
  });

  it('is the image itself without shift and flip, and keeps other inputs', async () => {
    const source = pixels();
    const attentionMask = tf.ones([2, 3]) as tf.Tensor2D;
    made.push(attentionMask);
    const seen = imageView({ shift: 0, flip: false })({ pixelValues: source, attentionMask }, 3);
    made.push(seen.pixelValues!);
    expect(await seen.pixelValues!.array()).toEqual(await source.array());
    expect(seen.attentionMask).toBe(attentionMask);
  });

  it('refuses shifts that are no whole numbers, and batches without pixels', () => {
    for (const shift of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => imageView({ shift }), String(shift)).toThrow(
        expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(`shift = ${shift}`) }),
      );
    }
    expect(() => imageView()({}, 1)).toThrow(expect.objectContaining({ code: 'invalid-data' }));
  });
});
