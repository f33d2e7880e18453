// What predictors learn from of very many trials: never more than so many, with the front and the last among them.
import { Random } from '@instatune/nsga2';
import { describe, expect, it } from 'vitest';
import { Space } from '../../src/space.ts';
import type { CompleteTrial } from '../../src/study/trial.ts';
import { trainingTrials } from '../../src/tactics/training.ts';
import { completeTrial } from '../fixtures/trials.ts';

const space = new Space({
  name: 'many',
  space: [{ type: 'integer', lower: 0, upper: 9999 }],
  objectives: [
    { name: 'a', kind: 'measured' },
    { name: 'b', kind: 'measured' },
  ],
  measure: () => ({ a: 0, b: 0 }),
});
const random = new Random(3);
const trials = Array.from({ length: 3000 }, (_, number): CompleteTrial => {
  const x = random.uniform(0, 1);
  const values = { a: x, b: 1 - x + (number % 60 === 7 ? 0 : 0.1 + random.uniform(0, 1)) };
  return completeTrial({ number, genes: [number], values });
});

describe('training trials', () => {
  it('are all of few', () => {
    expect(trainingTrials(space, trials.slice(0, 100), new Random(1), 100)).toHaveLength(100);
  });

  it('of many are so many, in order, with the front, the last, and some of the rest; the same for a seed', () => {
    const chosen = trainingTrials(space, trials, new Random(1), 200);
    expect(chosen).toHaveLength(200);
    const numbers = chosen.map(({ number }) => number);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(new Set(numbers).size).toBe(200);
    const wanted = trials.filter(({ number }) => number % 60 === 7 || number >= 2960);
    expect(wanted.filter(({ number }) => !numbers.includes(number))).toEqual([]);
    expect(chosen.some(({ values }) => values['b']! > 1)).toBe(true);
    expect(trainingTrials(space, trials, new Random(1), 200)).toEqual(chosen);
  });
});
