import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assertGenes,
  createLayout,
  dasDennis,
  dtlz,
  integer,
  Nsga2,
  Nsga2Error,
  Nsga3,
  Random,
  repeat,
  SmsEmoa,
  Unsga3,
  zdt,
  type Candidate,
  type Evolution,
  type Problem,
  type Told,
} from '../../src/index.ts';
import { mixedVariables } from '../mixed.ts';
import { dominatesPlainly } from '../oracle.ts';

const evaluate = (problem: Problem, { id, genes }: Candidate): Told => {
  const result = problem.evaluate(genes, { id, signal: new AbortController().signal });
  return Array.isArray(result) ? { id, objectives: result as number[] } : ({ ...(result as object), id } as Told);
};

/** Runs in portions of random size, told one by one in random order; saves and restores now and then. */
function runScattered(
  make: () => Evolution,
  restore: (json: string) => Evolution,
  generations: number,
  seed: number,
): Evolution {
  const random = new Random(seed);
  let engine = make();
  let out: Candidate[] = [];
  while (engine.generation < generations) {
    out.push(...engine.ask(random.integer(1, 9)));
    random.shuffle(out);
    const portion = out.splice(0, random.integer(0, out.length));
    for (const candidate of portion) engine.tell(evaluate(engine.problem, candidate));
    if (random.boolean(0.1)) {
      engine = restore(JSON.stringify(engine));
      // What was out is lost with the process; it will be asked again.
      out = [];
    }
  }
  return engine;
}

function runWhole(engine: Evolution, generations: number): Evolution {
  while (engine.generation < generations) {
    engine.tell(engine.ask().map((candidate) => evaluate(engine.problem, candidate)));
  }
  return engine;
}

describe('ask and tell', () => {
  it.each([
    [
      'NSGA-II',
      () => new Nsga2(zdt(4), { populationSize: 12, seed: 5 }),
      (json: string) => Nsga2.fromJSON(JSON.parse(json), zdt(4)),
    ],
    [
      'NSGA-II, pruned, history, archive',
      () =>
        new Nsga2(zdt(1), {
          populationSize: 10,
          offspring: 7,
          seed: 6,
          crowding: 'pruned',
          duplicates: 'history',
          archive: true,
        }),
      (json: string) => Nsga2.fromJSON(JSON.parse(json), zdt(1)),
    ],
    [
      'NSGA-III',
      () => new Nsga3(dtlz(2), { populationSize: 20, seed: 7 }),
      (json: string) => Nsga3.fromJSON(JSON.parse(json), dtlz(2)),
    ],
    [
      'U-NSGA-III',
      () => new Unsga3(dtlz(2), { populationSize: 20, directions: dasDennis(3, 3), seed: 7 }),
      (json: string) => Unsga3.fromJSON(JSON.parse(json), dtlz(2)),
    ],
    [
      'SMS-EMOA in its steady state',
      () => new SmsEmoa(dtlz(2), { populationSize: 12, offspring: 1, seed: 8 }),
      (json: string) => SmsEmoa.fromJSON(JSON.parse(json), dtlz(2)),
    ],
  ] as const)(
    '%s follows one trajectory whatever the portions, the order and the interruptions',
    (_, make, restore) => {
      const whole = runWhole(make(), 8);
      const expected = JSON.stringify(whole);
      fc.assert(
        fc.property(fc.integer(), (seed) => {
          expect(JSON.stringify(runScattered(make, restore, 8, seed))).toBe(expected);
        }),
        { numRuns: 25 },
      );
    },
  );

  it('asks for no more than is left of the generation', () => {
    const engine = new Nsga2(zdt(1), { populationSize: 10 });
    expect(engine.ask(7)).toHaveLength(7);
    expect(engine.ask(7)).toHaveLength(3);
    expect(engine.ask(7)).toHaveLength(0);
    expect(engine.pending).toBe(10);
    expect(engine.ask(0)).toEqual([]);
  });

  it('takes all or nothing of a portion that is wrong', () => {
    const engine = new Nsga2(zdt(1), { populationSize: 4 });
    const [a, b] = engine.ask(2);
    const good = evaluate(engine.problem, a!);
    for (const bad of [
      { id: b!.id, objectives: [1] },
      { id: b!.id, objectives: [1, Number.NaN] },
      { id: b!.id, objectives: [1, Infinity] },
      { id: 99, objectives: [1, 2] },
      { id: 2, objectives: [1, 2] },
      good,
      { id: b!.id, objectives: [1, 2], inequality: [0] },
    ]) {
      expect(() => engine.tell([good, bad])).toThrow(Nsga2Error);
      expect(engine.evaluations).toBe(0);
    }
    engine.tell(good);
    expect(() => engine.tell(good)).toThrow(expect.objectContaining({ code: 'unknown-candidate' }));
    expect(engine.evaluations).toBe(1);
  });

  it('ranks failed candidates behind everything else and saves them', () => {
    const engine = new Nsga2(zdt(1), { populationSize: 4, seed: 1 });
    const asked = engine.ask();
    engine.tell(asked.map((c, i) => (i < 2 ? { id: c.id, failed: true } : evaluate(engine.problem, c))));
    expect(engine.population.filter(({ violation }) => violation === Infinity)).toHaveLength(2);
    expect(engine.front.every(({ violation }) => violation === 0)).toBe(true);
    const copy = Nsga2.fromJSON(JSON.parse(JSON.stringify(engine)), zdt(1));
    expect(copy.population).toEqual(engine.population);
    const next = runWhole(engine, 2);
    expect(next.population.filter(({ violation }) => violation === Infinity)).toHaveLength(0);
  });

  it('shows what was found in the middle of a generation without changing the run', () => {
    const engine = runWhole(new Nsga2(zdt(1), { populationSize: 8, seed: 2, archive: true }), 3);
    const other = Nsga2.fromJSON(JSON.parse(JSON.stringify(engine)), zdt(1));
    const part = engine.ask(5).map((candidate) => evaluate(engine.problem, candidate));
    engine.tell(part);
    const { population, front, archive } = engine.snapshot();
    expect(population).toHaveLength(8);
    for (const a of front) for (const b of front) expect(dominatesPlainly(a.objectives, b.objectives)).toBe(false);
    expect(archive!.entries.every((a) => front.every((b) => !dominatesPlainly(b.objectives, a.objectives)))).toBe(true);
    expect(JSON.stringify(runWhole(finish(engine), 6))).toBe(JSON.stringify(runWhole(other, 6)));
  });
});

/** Tells what is left of the generation under way. */
function finish(engine: Evolution): Evolution {
  engine.tell(engine.ask().map((candidate) => evaluate(engine.problem, candidate)));
  return engine;
}

describe('any mix of variables', () => {
  it('keeps every candidate valid, new, and in canonical form', () => {
    fc.assert(
      fc.property(mixedVariables, fc.integer(), (variables, seed) => {
        const layout = createLayout(variables);
        const problem: Problem = {
          variables,
          objectives: 2,
          evaluate: (genes) => [genes.reduce((a, b) => a + b, 0), genes.reduce((a, b) => a + (b - 1) ** 2, 0)],
        };
        const engine = new Nsga2(problem, { populationSize: 8, seed, duplicates: 'history' });
        const seen = new Set<string>();
        for (let generation = 0; generation < 5; generation++) {
          const asked = engine.ask();
          for (const { genes } of asked) {
            assertGenes(layout, genes);
            expect(seen.has(genes.join())).toBe(false);
            seen.add(genes.join());
          }
          engine.tell(asked.map((candidate) => evaluate(problem, candidate)));
        }
        for (const a of engine.front) {
          for (const b of engine.front) expect(dominatesPlainly(a.objectives, b.objectives)).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('enumerates a small space and then is exhausted', () => {
    const problem: Problem = {
      variables: repeat(integer(0, 2), 3),
      objectives: 2,
      evaluate: ([a = 0, b = 0, c = 0]) => [a + b + c, (2 - a) * (2 - b) + c],
    };
    const engine = new Nsga2(problem, { populationSize: 6, duplicates: 'history', seed: 3, archive: true });
    for (let i = 0; i < 100 && !engine.exhausted; i++) {
      const asked = engine.ask();
      if (asked.length > 0) engine.tell(asked.map((candidate) => evaluate(problem, candidate)));
    }
    expect(engine.exhausted).toBe(true);
    expect(engine.evaluations).toBe(27);
    expect(engine.ask()).toEqual([]);
    const again = Nsga2.fromJSON(JSON.parse(JSON.stringify(engine)), problem);
    expect(again.exhausted).toBe(true);
  });
});

describe('repair and canonical form', () => {
  it('come before the duplicate check', () => {
    const calls: string[] = [];
    const problem: Problem = {
      variables: repeat(integer(0, 9), 4),
      objectives: 1,
      repair(genes) {
        calls.push('repair');
        if (genes[0]! > 4) genes[0] = 4;
      },
      canonical(genes) {
        calls.push('canonical');
        genes[3] = 0;
      },
      evaluate: (genes) => [genes.reduce((a, b) => a + b, 0)],
    };
    const engine = new Nsga2(problem, { populationSize: 30, duplicates: 'history', seed: 1 });
    const keys = new Set<string>();
    let count = 0;
    for (let generation = 0; generation < 4; generation++) {
      const asked = engine.ask();
      for (const { genes } of asked) {
        expect(genes[0]).toBeLessThanOrEqual(4);
        expect(genes[3]).toBe(0);
        keys.add(genes.join());
        count++;
      }
      engine.tell(asked.map((candidate) => evaluate(problem, candidate)));
    }
    expect(keys.size).toBe(count);
    expect(calls.slice(0, 2)).toEqual(['repair', 'canonical']);
  });

  it('that leave bad genes are named', () => {
    const problem: Problem = {
      variables: [integer(0, 3)],
      objectives: 1,
      canonical(genes) {
        genes[0] = 7;
      },
      evaluate: (genes) => [genes[0]!],
    };
    expect(() => new Nsga2(problem).ask()).toThrow(/repair or canonical left bad genes: gene 0 is 7/);
  });
});

describe('options', () => {
  it('starts from given candidates', () => {
    const problem = zdt(1, 3);
    const initial = [
      [0.1, 0.2, 0.3],
      [0.4, 0.5, 0.6],
      [0.1, 0.2, 0.3],
    ];
    const engine = new Nsga2(problem, { populationSize: 5, initial });
    const saved = JSON.stringify(engine);
    const asked = engine.ask();
    expect(asked).toHaveLength(5);
    expect(asked.slice(0, 2).map(({ genes }) => genes)).toEqual(initial.slice(0, 2));
    expect(Nsga2.fromJSON(JSON.parse(saved), problem).ask()).toEqual(asked);
    expect(() => new Nsga2(problem, { initial: [[2, 0, 0]] }).ask()).toThrow(/gene 0 is 2/);
  });

  it.each([
    { populationSize: 1 },
    { populationSize: 2.5 },
    { offspring: 0 },
    { seed: Number.NaN },
    { duplicates: 'never' },
    { crowding: 'most' },
    { archive: { capacity: 0 } },
  ])('%j is refused', (options) => {
    expect(() => new Nsga2(zdt(1), options as never)).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });

  it('a problem must count its objectives and constraints', () => {
    expect(() => new Nsga2({ ...zdt(1), objectives: 0 })).toThrow(/objectives is 0/);
    expect(() => new Nsga2({ ...zdt(1), inequality: -1 })).toThrow(/inequality is -1/);
  });

  it('a state must fit the problem and the options', () => {
    const state = new Nsga2(zdt(1), { populationSize: 4 }).toJSON();
    expect(() => Nsga2.fromJSON(state, zdt(4))).toThrow(/problem\.variables of the saved run/);
    expect(() => Nsga3.fromJSON(state, zdt(1))).toThrow(/survival of the saved run is "nsga2", not one of nsga3/);
    expect(() => Nsga2.fromJSON({ ...state, version: 1 } as never, zdt(1))).toThrow(
      /version of the saved run is 1, not 2: start again/,
    );
    const other = { real: { mutation: { name: 'mine', mutate: () => 0 } } };
    expect(() => Nsga2.fromJSON(state, zdt(1), { operators: other })).toThrow(/polynomial/);
  });
});
