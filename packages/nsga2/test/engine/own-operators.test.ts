// Operators, samplers, repairs and canonical forms of the user's own: genes are checked after each, the error says whose they are.
import { describe, expect, it } from 'vitest';
import {
  boolean,
  integer,
  minimize,
  mixedMutation,
  Nsga2,
  permutation,
  randomReset,
  real,
  repeat,
  type Crossover,
  type EngineOptions,
  type Mutation,
  type Nsga2Error,
  type Problem,
} from '../../src/index.ts';

const problem: Problem = {
  variables: [real(0, 1), ...repeat(integer(0, 3), 3), permutation(3), boolean()],
  objectives: 2,
  evaluate: ([x = 0, a = 0, b = 0]) => [x + a, 1 - x + b],
};
const cross = (name: string, change: (genes: Float64Array) => void): Crossover => ({
  name,
  cross(first) {
    change(first);
  },
});
const mutation = (name: string, change: (genes: Float64Array) => number): Mutation => ({ name, mutate: change });
const set =
  (position: number, value: number) =>
  (genes: Float64Array): number => {
    genes[position] = value;
    return 1;
  };
const options = { populationSize: 8, seed: 1 } as const;

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
};

/** Two generations; the error of the second. */
function breed(operators: NonNullable<EngineOptions['operators']>): void {
  const engine = new Nsga2(problem, { ...options, operators });
  for (let generation = 0; generation < 2; generation++)
    engine.tell(
      engine.ask().map(({ id, genes }) => ({ id, objectives: problem.evaluate(genes, undefined!) as number[] })),
    );
}

describe('genes after an operator of one’s own', () => {
  it.each<[string, NonNullable<EngineOptions['operators']>, RegExp]>([
    [
      'too large',
      { real: { crossover: cross('wild', set(0, 1.5)) } },
      /crossover "wild" of real genes left bad genes: gene 0 is 1.5/,
    ],
    [
      'no number',
      { real: { mutation: mutation('nan', set(0, Number.NaN)) } },
      /mutation "nan" of real genes .* gene 0 is NaN/,
    ],
    [
      'a fraction',
      { integer: { mutation: mutation('half', set(2, 0.5)) } },
      /mutation "half" of integer genes .* gene 2 is 0.5: needs an integer/,
    ],
    [
      'twice in an order',
      { permutation: { crossover: cross('twin', (g) => void g.fill(1, 4, 7)) } },
      /crossover "twin" of permutation genes .* needs a permutation/,
    ],
    [
      'of another group',
      { boolean: { mutation: mutation('stray', set(0, -3)) } },
      /mutation "stray" of boolean genes .* gene 0 is -3/,
    ],
    [
      'inside a mixture',
      {
        integer: {
          mutation: mixedMutation([
            [randomReset(), 1e-9],
            [mutation('far', set(1, 4)), 1],
          ]),
        },
      },
      /mixed\(random-reset,far\)" of integer genes .* gene 1 is 4/,
    ],
    [
      'of a mutation that does not say how many',
      { integer: { mutation: mutation('mute', () => undefined as unknown as number) } },
      /"mute" of integer genes returned undefined/,
    ],
  ])('%s', (_, operators, message) => {
    expect(() => breed(operators)).toThrow(expect.objectContaining({ code: 'invalid-genes' }));
    expect(() => breed(operators)).toThrow(message);
  });

  it('and of a sampler, a repair and a canonical form', () => {
    const sampler: EngineOptions['sampler'] = (_, genes) => void genes.fill(9);
    expect(() => new Nsga2(problem, { ...options, sampler }).ask()).toThrow(/the sampler left bad genes: gene 0 is 9/);
    for (const name of ['repair', 'canonical'] as const) {
      const bad = { ...problem, [name]: (genes: Float64Array) => void set(0, 7)(genes) };
      expect(() => new Nsga2(bad, options).ask()).toThrow(
        expect.objectContaining({
          code: 'invalid-problem',
          message: expect.stringMatching(`gene 0 is 7.*after ${name}`) as string,
        }),
      );
    }
  });
});

describe('an operator that fails', () => {
  it('leaves the engine as it was: mended, it goes on as if nothing had happened', () => {
    const run = (failing: boolean, duplicates: 'population' | 'history') => {
      let broken = failing;
      let calls = 0;
      const failures: string[] = [];
      const reset = randomReset();
      const shaky: Mutation = {
        name: 'shaky',
        mutate(genes, ...rest) {
          const changed = reset.mutate(genes, ...rest);
          if (broken && ++calls === 5) genes[1] = 99;
          return changed;
        },
      };
      const engine = new Nsga2(problem, { ...options, duplicates, operators: { integer: { mutation: shaky } } });
      for (let generation = 0; generation < 4; generation++) {
        if (broken && generation === 1) {
          failures.push(messageOf(() => engine.ask()));
          broken = false;
        }
        engine.tell(
          engine.ask().map(({ id, genes }) => ({ id, objectives: problem.evaluate(genes, undefined!) as number[] })),
        );
      }
      return { state: JSON.stringify(engine), failures };
    };
    for (const duplicates of ['population', 'history'] as const) {
      const { state, failures } = run(true, duplicates);
      expect(failures).toEqual([expect.stringContaining('gene 1 is 99')]);
      expect(state).toBe(run(false, duplicates).state);
    }
  });

  it.each([
    ['with bad genes', (genes: Float64Array) => set(0, 2)(genes), 'invalid-genes'],
    [
      'by throwing',
      () => {
        throw new TypeError('oops');
      },
      'invalid-problem',
    ],
  ] as const)('%s ends a run with the state of what was evaluated', async (_, change, code) => {
    const operators = { real: { mutation: mutation('bad', change) } };
    const error = await minimize(problem, { ...options, maxEvaluations: 30, operators }).catch(
      (reason: unknown) => reason as Nsga2Error,
    );
    expect(error).toMatchObject({ code, state: { engine: { evaluations: 8 } } });
    expect((error as Nsga2Error).cause instanceof TypeError).toBe(code === 'invalid-problem');
  });
});
