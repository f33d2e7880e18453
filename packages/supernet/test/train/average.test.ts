// The moving average of weights: its numbers, a stopped run's, and what a model holds when.
import { beforeAll, describe, expect, it } from 'vitest';
import { textWindows } from '../../src/data/text-windows.ts';
import { fineTune, fineTuneSteps } from '../../src/train/run/fine-tune.ts';
import type { FineTuneOptions } from '../../src/train/run/options.ts';
import { memoryStore } from '../../src/train/state/store.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama, weightsOf } from '../helpers/tiny.ts';

const data = textWindows(patternedTokens(400), { length: 8 });
const options: FineTuneOptions = { steps: 6, batchSize: 2, learningRate: 5e-3, seed: 3, dropout: 0.1 };
const average = { decay: 0.6 };

describe.each(BACKENDS)('average on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('is a ← d·a + (1 − d)·w with d = min(decay, (1 + t)/(10 + t)), and training goes on as without it', async () => {
    const [model, averaged] = [tinyLlama(), tinyLlama()];
    const expected = await weightsOf(model);
    const losses: number[] = [];
    for await (const { step, loss } of fineTuneSteps(model, data, options)) {
      losses.push(loss);
      const keep = Math.min(average.decay, (1 + step) / (10 + step));
      for (const [name, values] of await weightsOf(model)) {
        const held = expected.get(name)!;
        values.forEach((value, i) => (held[i] = keep * held[i]! + (1 - keep) * value));
      }
    }
    const { history } = await fineTune(averaged, data, { ...options, average });
    expect(history.map(({ loss }) => loss)).toEqual(losses);
    for (const [name, values] of await weightsOf(averaged))
      values.forEach((value, i) => expect(Math.abs(value - expected.get(name)![i]!)).toBeLessThan(1e-6));
    model.dispose();
    averaged.dispose();
  });

  it('a run stopped and resumed has the average of the one that was not; a finished one is it again', async () => {
    const [straight, first, second] = [tinyLlama(), tinyLlama(), tinyLlama()];
    await fineTune(straight, data, { ...options, average });
    const store = memoryStore();
    const kept = { ...options, average, checkpoint: { store } };
    for await (const { step } of fineTuneSteps(first, data, kept)) if (step === 3) break;
    expect((await fineTune(second, data, kept)).resumedFrom).toBe(3);
    const whole = await weightsOf(straight);
    expect(await weightsOf(second)).toEqual(whole);
    expect((await fineTune(second, data, kept)).resumedFrom).toBe(options.steps);
    expect(await weightsOf(second)).toEqual(whole);
    const other = fineTune(tinyLlama(), data, { ...kept, average: { decay: 0.5 } });
    await expect(other).rejects.toMatchObject({ code: 'invalid-checkpoint' });
    for (const model of [straight, first, second]) model.dispose();
  });
});

it('a run that is stopped leaves the weights, not the average', async () => {
  await useBackend('cpu');
  const [plain, averaged] = [tinyLlama(), tinyLlama()];
  for await (const { step } of fineTuneSteps(plain, data, options)) if (step === 2) break;
  for await (const { step } of fineTuneSteps(averaged, data, { ...options, average })) if (step === 2) break;
  expect(await weightsOf(averaged)).toEqual(await weightsOf(plain));
  plain.dispose();
  averaged.dispose();
});

it.each([1, -0.1, Number.NaN])('a decay of %s is refused', async (decay) => {
  await useBackend('cpu');
  const model = tinyLlama();
  const run = fineTune(model, data, { ...options, average: { decay } });
  await expect(run).rejects.toMatchObject({ code: 'invalid-option', details: { name: 'average.decay' } });
  model.dispose();
});
