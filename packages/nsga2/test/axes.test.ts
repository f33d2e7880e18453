// Log scales, steps, ordinals and conditions: what operators and samplers may leave behind, and what they must not.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  activeVariables,
  assertGenes,
  axisOf,
  boolean,
  categorical,
  createLayout,
  decode,
  encode,
  integer,
  latinHypercube,
  minimize,
  Nsga2,
  Nsga2Error,
  ordinal,
  permutation,
  Random,
  real,
  sampleUniform,
  type Variable,
} from '../src/index.ts';

const numbers = fc.oneof(
  fc
    .tuple(fc.double({ min: 1e-6, max: 10, noNaN: true }), fc.double({ min: 1, max: 1e6, noNaN: true }))
    .map(([lower, factor]) => real(lower, lower * factor, { scale: 'log' })),
  fc
    .tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 5000 }))
    .map(([lower, more]) => integer(lower, lower + more, { scale: 'log' })),
  fc
    .tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 30 }))
    .map(([lower, step, count]) => integer(lower, lower + step * count + (step >> 1), { step })),
  fc
    .tuple(fc.integer({ min: -9, max: 9 }), fc.constantFrom(0.1, 0.25, 0.3, 1e-3), fc.integer({ min: 0, max: 40 }))
    .map(([lower, step, count]) => real(lower, lower + step * count, { step })),
);

describe('an axis', () => {
  it('takes every value to a place in its range and back to itself', () => {
    fc.assert(
      fc.property(numbers, fc.double({ min: 0, max: 1, noNaN: true }), (variable, share) => {
        const axis = axisOf(variable);
        // An integer in steps of 1 is even as it is.
        fc.pre(axis !== undefined);
        if (!axis) return;
        const place = axis.lower + share * (axis.upper - axis.lower);
        const value = axis.value(axis.whole ? Math.round(place) : place);
        expect(value).toBeGreaterThanOrEqual(variable.lower);
        expect(value).toBeLessThanOrEqual(variable.upper);
        expect(variable.type === 'real' || Number.isInteger(value)).toBe(true);
        expect(axis.value(axis.place(value))).toBe(value);
        assertGenes(createLayout([variable]), [value]);
      }),
    );
  });

  it('has as much room for a decade as for the next', () => {
    const variable = real(1e-5, 1e-1, { scale: 'log' });
    const layout = createLayout([variable]);
    const random = new Random(1);
    const decades = [0, 0, 0, 0];
    const genes = new Float64Array(1);
    for (let i = 0; i < 4000; i++) {
      sampleUniform(layout, genes, random);
      decades[Math.min(3, Math.floor(Math.log10(genes[0]!) + 5))]!++;
    }
    for (const count of decades) expect(count).toBeGreaterThan(850);
  });
});

const mixed: Variable[] = [
  categorical(['sgd', 'adam'], 'optimizer'),
  real(1e-5, 1e-1, { name: 'rate', scale: 'log' }),
  real(0, 1, { name: 'dropout', step: 0.1 }),
  integer(64, 512, { name: 'width', step: 64 }),
  integer(1, 1000, { name: 'patience', scale: 'log' }),
  ordinal(['small', 'base', 'large'], 'size'),
  real(0, 0.99, { name: 'momentum', when: { variable: 'optimizer', in: ['sgd'] } }),
  boolean({ name: 'nesterov', when: { variable: 'optimizer', in: ['sgd'] } }),
  integer(1, 9, { name: 'warm', when: { variable: 'nesterov', in: [true] } }),
  permutation(3, 'order'),
];

describe('a run over all of them', () => {
  it.each([undefined, latinHypercube()])(
    'asks for values of the variables only, unused ones first',
    async (sampler) => {
      const layout = createLayout(mixed);
      const seen = new Set<string>();
      const result = await minimize(
        {
          variables: mixed,
          objectives: 2,
          evaluate(genes) {
            assertGenes(layout, genes);
            const [optimizer, rate, dropout, width, patience, size, momentum, nesterov, warm] = genes;
            expect(optimizer === 0 || (momentum === 0 && nesterov === 0)).toBe(true);
            expect(nesterov === 1 || warm === 1).toBe(true);
            seen.add(genes.join());
            const loss = Math.log10(rate! / 1e-3) ** 2 + (dropout! - 0.3) ** 2 + (momentum! - 0.9) ** 2;
            return [loss, width! / 64 + size! + patience! / 1000];
          },
        },
        { populationSize: 30, maxEvaluations: 600, seed: 3, duplicates: 'history', ...(sampler ? { sampler } : {}) },
      );
      // Nothing twice: candidates that differ in what has no effect are one.
      expect(seen.size).toBe(600);
      const best = result.front.toSorted((a, b) => a.objectives[0]! - b.objectives[0]!)[0]!;
      expect(best.objectives[0]).toBeLessThan(0.3);
      const values = decode(mixed, best.genes);
      expect(encode(mixed, values)).toEqual([...best.genes]);
      expect(['small', 'base', 'large']).toContain(values[5]);
    },
  );

  it('goes on from its saved state as if it had never stopped, and refuses other scales and steps', () => {
    const problem = { variables: mixed, objectives: 2, evaluate: () => [0, 0] };
    const score = (genes: readonly number[]) => [genes[1]! * genes[3]!, genes[2]! - genes[6]!];
    const play = (engine: Nsga2, generations: number) => {
      for (let i = 0; i < generations; i++)
        engine.tell(engine.ask().map(({ id, genes }) => ({ id, objectives: score(genes) })));
      return engine;
    };
    const options = { populationSize: 12, seed: 5 };
    const whole = play(new Nsga2(problem, options), 6);
    const half = play(new Nsga2(problem, options), 3).toJSON();
    const state = JSON.parse(JSON.stringify(half)) as typeof half;
    expect(play(Nsga2.fromJSON(state, problem), 3).toJSON()).toEqual(whole.toJSON());
    const plain = mixed.map((variable, i) => (i === 1 ? real(1e-5, 1e-1, 'rate') : variable));
    expect(() => Nsga2.fromJSON(state, { ...problem, variables: plain })).toThrow(/scale/);
  });
});

describe('conditions', () => {
  it('hold where a chain of them does', () => {
    expect(activeVariables(mixed, [0, 0.1, 0, 64, 1, 0, 0.5, 1, 4, 0, 1, 2])).toEqual(mixed.map(() => true));
    const off = activeVariables(mixed, [1, 0.1, 0, 64, 1, 0, 0.5, 1, 4, 0, 1, 2]);
    expect(off).toEqual([true, true, true, true, true, true, false, false, false, true]);
  });

  it.each([
    [{ variable: 'later', in: [1] }, /name a variable before this one/],
    [{ variable: 'act', in: [] }, /holds for no value/],
    [{ variable: 'act', in: ['tanh'] }, /act is "tanh", which it cannot be/],
    [{ variable: 'rate', in: [0.5] }, /which it cannot be/],
  ])('%j is refused', (when, message) => {
    const variables = [categorical(['relu', 'gelu'], 'act'), real(0, 1, 'rate'), integer(0, 3, { name: 'x', when })];
    expect(() => createLayout([...variables, integer(0, 1, 'later')])).toThrow(message);
  });
});

it.each([
  () => real(0, 1, { scale: 'log' }),
  () => real(1, 2, { scale: 'log', step: 0.1 }),
  () => integer(0, 9, { step: 0.5 }),
  () => real(0, 1, { step: 0 }),
  () => ordinal([]),
  () => real(0, 1, { scale: 'cubic' as 'log' }),
])('what cannot be is refused: %s', (make) => {
  expect(make).toThrow(Nsga2Error);
});

it('a value between two steps is refused with the nearest one', () => {
  const layout = createLayout([real(0, 1, { step: 0.25 })]);
  expect(() => assertGenes(layout, [0.3])).toThrow('gene 0 is 0.3, between two steps: use 0.25');
});
