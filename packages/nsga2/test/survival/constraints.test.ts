import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  constraintViolation,
  minimize,
  Nsga2,
  Nsga3,
  Random,
  real,
  type Evolution,
  type Problem,
  type Told,
} from '../../src/index.ts';
import { dominatesPlainly } from '../oracle.ts';

describe('constraintViolation', () => {
  it('sums what is above 0 and what is further than 1e-4 from equality', () => {
    expect(constraintViolation({ inequality: [-5, 0, 2, 0.5] })).toBe(2.5);
    expect(constraintViolation({ equality: [1e-4, -1e-4, 0] })).toBe(0);
    expect(constraintViolation({ equality: [0.5, -0.25] })).toBeCloseTo(0.75 - 2e-4, 15);
    expect(constraintViolation({ inequality: [1], equality: [-1] })).toBeCloseTo(2 - 1e-4, 15);
    expect(constraintViolation({})).toBe(0);
  });
});

const problem: Problem = {
  variables: [real(0, 1), real(0, 1)],
  objectives: 2,
  inequality: 1,
  evaluate: () => [0, 0],
};

/** One generation of parents and one of children with made-up values; the survivors and all that was told. */
function survive(engine: Evolution, random: Random, infeasible: number): { told: Told[]; alive: Set<number> } {
  const told: Told[] = [];
  for (let generation = 0; generation < 2; generation++) {
    const values = engine.ask().map(({ id }): Told => {
      if (random.boolean(0.05)) return { id, failed: true };
      return {
        id,
        objectives: [random.integer(0, 8), random.integer(0, 8)],
        inequality: [random.boolean(infeasible) ? random.next() : -1],
      };
    });
    told.push(...values);
    engine.tell(values);
  }
  return { told, alive: new Set(engine.population.map(({ id }) => id)) };
}

const violationOf = (told: Told): number => ('failed' in told ? Infinity : constraintViolation(told));

describe.each([
  ['NSGA-II', (seed: number) => new Nsga2(problem, { populationSize: 12, seed })],
  ['NSGA-II pruned', (seed: number) => new Nsga2(problem, { populationSize: 12, seed, crowding: 'pruned' })],
  ['NSGA-III', (seed: number) => new Nsga3(problem, { populationSize: 12, seed })],
] as const)('%s survival', (_, make) => {
  it('prefers the feasible, then smaller violations, then earlier fronts', () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), (seed, infeasible) => {
        const { told, alive } = survive(make(seed), new Random(seed), infeasible);
        expect(alive.size).toBe(12);
        const dead = told.filter(({ id }) => !alive.has(id));
        const living = told.filter(({ id }) => alive.has(id));
        for (const lost of dead) {
          for (const kept of living) {
            expect(violationOf(lost)).toBeGreaterThanOrEqual(violationOf(kept));
            if ('failed' in lost || 'failed' in kept || violationOf(lost) > 0) continue;
            expect(dominatesPlainly(lost.objectives as number[], kept.objectives as number[])).toBe(false);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('equality constraints', () => {
  it('are met to 1e-4 by the front', async () => {
    const { front } = await minimize(
      {
        variables: [real(0, 1), real(0, 1)],
        objectives: 2,
        equality: 1,
        evaluate: ([x = 0, y = 0]) => ({ objectives: [x, y], equality: [x + y - 1] }),
      },
      { maxEvaluations: 10_000, seed: 1 },
    );
    expect(front.length).toBeGreaterThan(20);
    for (const { genes } of front) expect(Math.abs(genes[0]! + genes[1]! - 1)).toBeLessThanOrEqual(1e-4 + 1e-15);
  });
});
