import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assertGenes,
  blend,
  boolean,
  categorical,
  createLayout,
  defaultOperators,
  gaussian,
  geometricStep,
  insertionMutation,
  integer,
  inversionMutation,
  mixedMutation,
  Nsga2Error,
  orderCrossover,
  partiallyMappedCrossover,
  permutation,
  pointCrossover,
  polynomial,
  Random,
  randomReset,
  real,
  repeat,
  sampleUniform,
  sbx,
  step,
  swapMutation,
  uniformCrossover,
  type Crossover,
  type GeneGroup,
  type GeneLayout,
  type Mutation,
  type Variable,
} from '../../src/index.ts';

const wide: readonly Variable[] = [
  ...repeat(real(-2, 3), 4),
  ...repeat(integer(-3, 4), 4),
  ...repeat(categorical(5), 3),
  ...repeat(boolean(), 3),
  permutation(6),
  permutation(2),
];

const REAL = ['real'];
const DISCRETE = ['integer', 'categorical', 'boolean'];
const ORDER = ['permutation'];

const crossovers: readonly (readonly [Crossover, readonly string[]])[] = [
  [sbx({ probability: 1 }), REAL],
  [blend({ probability: 1 }), REAL],
  [uniformCrossover({ probability: 1 }), [...REAL, ...DISCRETE]],
  [pointCrossover({ probability: 1 }), [...REAL, ...DISCRETE]],
  [pointCrossover({ probability: 1, points: 9 }), DISCRETE],
  [orderCrossover({ probability: 1 }), ORDER],
  [partiallyMappedCrossover({ probability: 1 }), ORDER],
];

const mutations: readonly (readonly [Mutation, readonly string[]])[] = [
  [polynomial({ rate: 0.6 }), REAL],
  [gaussian({ rate: 0.6, deviation: 1 }), REAL],
  [randomReset({ rate: 0.6 }), DISCRETE],
  [step({ rate: 0.6 }), DISCRETE],
  [step({ rate: 0.6, size: 3 }), DISCRETE],
  [geometricStep({ rate: 0.6, mean: 0.5 }), DISCRETE],
  [
    mixedMutation([
      [step({ rate: 0.6 }), 2],
      [randomReset({ rate: 0.6 }), 1],
    ]),
    DISCRETE,
  ],
  [swapMutation({ rate: 1 }), ORDER],
  [inversionMutation({ rate: 1 }), ORDER],
  [insertionMutation({ rate: 1 }), ORDER],
];

/** The genes that an operator on the group must leave alone. */
function outside(group: GeneGroup, genes: Float64Array): number[] {
  return Array.from(genes).filter((_, p) => !group.positions.includes(p));
}

function sample(layout: GeneLayout, random: Random): Float64Array {
  const genes = new Float64Array(layout.width);
  sampleUniform(layout, genes, random);
  return genes;
}

describe.each(crossovers.map(([crossover, types]) => ({ name: crossover.name, crossover, types })))(
  '$name crossover',
  ({ crossover, types }) => {
    it('keeps genes valid and touches nothing but its group', () => {
      const layout = createLayout(wide);
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const random = new Random(seed);
          for (const group of layout.groups.filter(({ type }) => types.includes(type))) {
            const parents = [sample(layout, random), sample(layout, random)] as const;
            const children = [parents[0].slice(), parents[1].slice()] as const;
            crossover.cross(children[0], children[1], group, random);
            for (let c = 0; c < 2; c++) {
              expect(() => assertGenes(layout, children[c]!)).not.toThrow();
              expect(outside(group, children[c]!)).toEqual(outside(group, parents[c]!));
            }
          }
        }),
      );
    });

    it('makes something new of different parents, and nothing of equal ones', () => {
      const layout = createLayout(wide);
      const random = new Random(3);
      for (const group of layout.groups.filter(({ type, positions }) => types.includes(type) && positions.length > 2)) {
        let changed = 0;
        for (let trial = 0; trial < 50; trial++) {
          const parents = [sample(layout, random), sample(layout, random)] as const;
          const children = [parents[0].slice(), parents[1].slice()] as const;
          crossover.cross(children[0], children[1], group, random);
          if (children[0].join() !== parents[0].join()) changed++;
          const twins = [parents[0].slice(), parents[0].slice()] as const;
          crossover.cross(twins[0], twins[1], group, random);
          expect(Array.from(twins[0])).toEqual(Array.from(parents[0]));
        }
        // Three bits that agree by chance, of which a cut exchanges one, change least often.
        expect(changed).toBeGreaterThan(5);
      }
    });
  },
);

describe.each(mutations.map(([mutation, types]) => ({ name: mutation.name, mutation, types })))(
  '$name mutation',
  ({ mutation, types }) => {
    it('keeps genes valid, touches nothing but its group, and reports how many genes it drew', () => {
      const layout = createLayout(wide);
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          const random = new Random(seed);
          for (const group of layout.groups.filter(({ type }) => types.includes(type))) {
            const before = sample(layout, random);
            const after = before.slice();
            const reported = mutation.mutate(after, group, random, { rate: 0.1, atLeastOne: false });
            assertGenes(layout, after);
            const changed = Array.from(after.keys()).filter((p) => after[p] !== before[p]);
            for (const p of changed) expect(group.positions).toContain(p);
            // A real gene may be drawn and stay where it is, at a bound; a discrete one always changes.
            expect(changed.length).toBeLessThanOrEqual(group.type === 'permutation' ? 6 * reported : reported);
            expect(changed.length === reported || !DISCRETE.includes(group.type)).toBe(true);
          }
        }),
      );
    });
  },
);

describe.each(
  mutations
    .filter(([, types]) => types !== REAL)
    .map(([mutation, types]) => ({ name: mutation.name, mutation, types })),
)('$name mutation', ({ mutation, types }) => {
  it('changes at least one gene when asked to', () => {
    const layout = createLayout(wide);
    const random = new Random(8);
    for (const group of layout.groups.filter(({ type }) => types.includes(type))) {
      for (let trial = 0; trial < 30; trial++) {
        const before = sample(layout, random);
        const after = before.slice();
        expect(mutation.mutate(after, group, random, { rate: 0, atLeastOne: true })).toBeGreaterThan(0);
        expect(Array.from(after)).not.toEqual(Array.from(before));
      }
    }
  });
});

describe('rates', () => {
  it.each([randomReset(), step(), geometricStep()])('$name changes genes at the rate of its context', (mutation) => {
    const layout = createLayout(repeat(integer(0, 3), 25));
    const random = new Random(11);
    const trials = 4000;
    let changed = 0;
    for (let t = 0; t < trials; t++) {
      const before = sample(layout, random);
      const after = before.slice();
      mutation.mutate(after, layout.groups[0]!, random, { rate: 1 / 25, atLeastOne: false });
      changed += after.filter((gene, p) => gene !== before[p]).length;
    }
    // Binomial of 100,000 draws at 1/25: within five standard deviations.
    const draws = trials * 25;
    expect(Math.abs(changed - draws / 25)).toBeLessThan(5 * Math.sqrt((draws / 25) * (24 / 25)));
  });

  it('random reset reaches every other value equally often', () => {
    const layout = createLayout([integer(0, 4)]);
    const random = new Random(12);
    const counts = [0, 0, 0, 0, 0];
    for (let t = 0; t < 8000; t++) {
      const genes = Float64Array.of(2);
      randomReset({ rate: 1 }).mutate(genes, layout.groups[0]!, random, { rate: 1, atLeastOne: false });
      counts[genes[0]!]!++;
    }
    expect(counts[2]).toBe(0);
    for (const value of [0, 1, 3, 4]) expect(Math.abs(counts[value]! - 2000)).toBeLessThan(5 * Math.sqrt(1500));
  });

  it('steps are no longer than their size', () => {
    const layout = createLayout([integer(0, 100)]);
    const random = new Random(13);
    const seen = new Set<number>();
    for (let t = 0; t < 500; t++) {
      const genes = Float64Array.of(50);
      step({ rate: 1, size: 2 }).mutate(genes, layout.groups[0]!, random, { rate: 1, atLeastOne: false });
      seen.add(genes[0]! - 50);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 1, 2]);
  });
});

describe('sbx', () => {
  it('keeps the mean of the parents far from the bounds', () => {
    const layout = createLayout(repeat(real(-1000, 1000), 6));
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = new Random(seed);
        const a = Float64Array.from({ length: 6 }, () => random.uniform(-1, 1));
        const b = Float64Array.from({ length: 6 }, () => random.uniform(-1, 1));
        const c = a.slice();
        const d = b.slice();
        sbx().cross(c, d, layout.groups[0]!, random);
        for (let i = 0; i < 6; i++) expect(c[i]! + d[i]!).toBeCloseTo(a[i]! + b[i]!, 6);
      }),
    );
  });

  it('stays closer to the parents with a larger eta', () => {
    const layout = createLayout([real(-100, 100)]);
    const reach = (eta: number): number => {
      const random = new Random(1);
      let total = 0;
      for (let t = 0; t < 2000; t++) {
        const a = Float64Array.of(-1);
        const b = Float64Array.of(1);
        sbx({ eta, probability: 1, geneProbability: 1 }).cross(a, b, layout.groups[0]!, random);
        total += Math.abs(Math.abs(a[0]!) - 1);
      }
      return total / 2000;
    };
    expect(reach(30)).toBeLessThan(reach(5) / 2);
  });
});

describe('order crossover, worked by hand', () => {
  it('keeps a stretch and fills the rest in the order of the other parent', () => {
    const layout = createLayout([permutation(8)]);
    const one = Float64Array.of(0, 1, 2, 3, 4, 5, 6, 7);
    const two = Float64Array.of(7, 6, 5, 4, 3, 2, 1, 0);
    // The generator is replaced so that the stretch is 2 … 4.
    const random = new Random(1);
    const cuts = [2, 4];
    random.integer = () => cuts.shift()!;
    orderCrossover({ probability: 1 }).cross(one, two, layout.groups[0]!, random);
    expect(Array.from(one)).toEqual([6, 5, 2, 3, 4, 1, 0, 7]);
    expect(Array.from(two)).toEqual([1, 2, 5, 4, 3, 6, 7, 0]);
  });
});

describe('operator options', () => {
  it.each([
    () => sbx({ eta: 0 }),
    () => sbx({ probability: 1.5 }),
    () => polynomial({ rate: -1 }),
    () => step({ size: 0 }),
    () => pointCrossover({ points: 0 }),
    () => mixedMutation([]),
    () => gaussian({ deviation: Number.NaN }),
  ])('are checked: %s', (make) => {
    expect(make).toThrow(Nsga2Error);
  });

  it('defaults can be replaced one by one', () => {
    const mutation = step();
    const operators = defaultOperators({ integer: { mutation } });
    expect(operators.integer.mutation).toBe(mutation);
    expect(operators.integer.crossover.name).toBe('uniform');
    expect(operators.boolean.mutation.name).toBe('random-reset');
  });
});
