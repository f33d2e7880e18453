// A training that has to fit its time, on a clock of its own.
import * as tf from '@tensorflow/tfjs';
import { expect, it, vi } from 'vitest';
import { SupernetError, type ElasticModel } from '@instatune/supernet';
import { endedBy, trainWithin } from '../src/instatune/within.ts';

async function run(most: number, seconds: number, msAStep: (step: number, attempt: number) => number) {
  await tf.setBackend('cpu');
  const weight = tf.variable(tf.scalar(0));
  const model = { weights: new Map([['w', weight]]) } as unknown as ElasticModel;
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  const attempts: number[] = [];
  const { signal } = new AbortController();
  try {
    const done = await trainWithin({ model, most, seconds, signal }, async (steps, stop, onStep) => {
      attempts.push(steps);
      let step = 0;
      const train = async () => {
        while (step < steps) {
          if (stop.aborted) throw new SupernetError('aborted', 'stopped');
          now += msAStep(step, attempts.length);
          tf.tidy(() => weight.assign(tf.add(weight, 1)));
          onStep(++step);
        }
      };
      await train().catch(endedBy(signal));
      return step;
    });
    return { done, attempts, now, weight: weight.dataSync()[0] };
  } finally {
    clock.mockRestore();
    weight.dispose();
  }
}

it('is run as it is where it fits, or no time is given', async () => {
  expect(await run(200, 10, () => 10)).toMatchObject({ done: 200, attempts: [200] });
  expect(await run(200, Number.POSITIVE_INFINITY, () => 1e6)).toMatchObject({ done: 200, attempts: [200] });
});

it('begins anew, from the weights as they were, with the steps that fit after its first ones', async () => {
  const { done, attempts, now, weight } = await run(2000, 10, (step, attempt) =>
    attempt === 1 && step < 20 ? 50 : 10,
  );
  expect(attempts).toHaveLength(2);
  expect(done).toBe(attempts[1]);
  expect(weight).toBe(done);
  expect(done).toBeGreaterThan(600);
  expect(now).toBeLessThan(11_000);
});

it('steps that make recordings, a few of the first hundred, do not shorten it', async () => {
  expect(await run(900, 20, (step) => (step < 60 && step % 20 === 5 ? 1000 : 10))).toMatchObject({
    done: 900,
    attempts: [900],
  });
});

it('is stopped when its time is over', async () => {
  const { done, attempts, now } = await run(2000, 10, (_, attempt) => (attempt === 1 ? 10 : 40));
  expect(done).toBeLessThan(attempts[1]!);
  expect(now).toBeLessThan(10_100);
});

it('an error that is not its own stop is thrown', async () => {
  const take = endedBy(new AbortController().signal);
  expect(() => take(new Error('other'))).toThrow('other');
  expect(() => take(new SupernetError('aborted', 'x'))).not.toThrow();
  expect(() => endedBy(AbortSignal.abort())(new SupernetError('aborted', 'x'))).toThrow('x');
});
