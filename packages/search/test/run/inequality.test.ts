// Constraints that are measured: kept with a trial, what proposals are held to, and what other studies say of them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { integer, paretoFront, Random, srn, tnk } from '@instatune/nsga2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Evaluator } from '../../src/evaluate/evaluator.ts';
import { repeated } from '../../src/noise/repeated.ts';
import { readMeasurements, readStudy } from '../../src/node.ts';
import type { MeasuredConstraint, SearchProblem } from '../../src/problem.ts';
import { toStudyView } from '../../src/report.ts';
import { ConstraintSet } from '../../src/run/constraint-set.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { Space } from '../../src/space.ts';
import { isComplete, type Trial } from '../../src/study/trial.ts';
import { TACTIC_NAMES } from '../../src/tactics/create.ts';
import { warmCandidates, warmStart } from '../../src/warm-start.ts';
import { viewFront } from '../../src/view/front.ts';
import { createProblem } from '../fixtures/batches.ts';
import { layersProblem } from '../fixtures/layers.ts';
import { completeTrial } from '../fixtures/trials.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inequality-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const memory: MeasuredConstraint = { name: 'memory', evaluate: ([a = 0, b = 0]) => a * b - 6 };
/** The larger the better, up to a product of 6. */
const product: SearchProblem = {
  name: 'product',
  space: [integer(0, 9, 'a'), integer(0, 9, 'b')],
  objectives: [
    { name: 'gain', kind: 'measured', direction: 'maximize', evaluate: ([a = 0, b = 0]) => 3 * a + b },
    { name: 'cost', kind: 'exact', evaluate: ([a = 0]) => a },
  ],
  inequality: [memory],
};
const kept = ({ values = {} }: Pick<Trial, 'values'>): boolean =>
  Object.entries(values).every(([name, value]) => !name.startsWith('constraint ') || value <= 0);
const shareKept = (trials: readonly Trial[]): number => trials.filter(kept).length / trials.length;

/** A test problem of NSGA-II's as one to search. */
function searched(problem: ReturnType<typeof srn>): SearchProblem {
  return {
    name: problem.name!,
    space: problem.variables,
    objectives: Array.from({ length: problem.objectives }, (_, k) => ({ name: `f${k}`, kind: 'measured' })),
    inequality: [{ name: 'first' }, { name: 'second' }],
    measure(genes) {
      const { objectives: f, inequality } = problem.evaluate(genes);
      return { f0: f[0]!, f1: f[1]!, first: inequality[0]!, second: inequality[1]! };
    },
  };
}

describe('measured constraints', () => {
  it.each(TACTIC_NAMES)('%s: the front is that of all candidates that keep them', async (tactic) => {
    const { trials, front, bounds } = await runSearch(product, {
      tactic: tactic === 'successive' ? { name: tactic, patience: 100 } : tactic,
      evaluations: 100,
      population: 10,
      seed: 1,
    });
    expect(bounds).toEqual([{ text: 'constraint memory <= 0', name: 'constraint memory', relation: '<=', bound: 0 }]);
    const inside = trials.filter(isComplete).filter(({ genes: [a = 0, b = 0] }) => a * b <= 6);
    const points = inside.map(({ values }) => [-values['gain']!, values['cost']!]);
    expect(front.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(
      paretoFront(points).map((index) => inside[index]!.number),
    );
    for (const { genes, values } of trials) expect(values!['constraint memory']).toBe(genes[0]! * genes[1]! - 6);
  });

  it('are in the file, the view and a study that goes on, and do not change with an interruption', async () => {
    const path = join(folder, 'product.db');
    const options = { tactic: 'linas', population: 6, seed: 2 } as const;
    const whole = await runSearch(product, { ...options, evaluations: 30 });
    await runSearch(product, { ...options, evaluations: 17, study: path });
    const result = await resume(product, { study: path, evaluations: 30 });
    expect(result.trials.map(({ key, values }) => ({ key, values }))).toEqual(
      whole.trials.map(({ key, values }) => ({ key, values })),
    );
    const view = toStudyView(readStudy(path));
    expect(viewFront(view).map(({ number }) => number)).toEqual(
      result.front
        .map(({ number }) => number)
        .toSorted((a, b) => (view.trials[a]!.objectives['gain']! < view.trials[b]!.objectives['gain']! ? 1 : -1)),
    );
    const { inequality: _, ...without } = product;
    await expect(resume(without, { study: path })).rejects.toMatchObject({
      code: 'space-mismatch',
      message: expect.stringContaining('measured the constraints memory, this problem has none') as string,
    });
  });

  it.each([
    ['missing', {}, 'the constraint memory is undefined'],
    ['not a number', { memory: Number.NaN }, 'the constraint memory is NaN'],
    ['a text', { memory: '3' as never }, 'the constraint memory is 3'],
  ])('fail a trial whose value is %s, naming it', async (_, given, message) => {
    const { inequality: _own, ...rest } = product;
    const problem: SearchProblem = {
      ...rest,
      inequality: [{ name: 'memory' }],
      measure: ([a = 0]) => (a > 4 ? given : { memory: -1 }),
    };
    const { trials } = await runSearch(problem, { tactic: 'random', evaluations: 20, seed: 1 });
    for (const { genes, status, error = '' } of trials) {
      expect(status).toBe(genes[0]! > 4 ? 'failed' : 'complete');
      expect(error).toContain(status === 'failed' ? `${message}: give a finite number by this name` : '');
    }
  });

  it('are looked for in what an evaluator brings: a worker may have another version of the problem', async () => {
    const evaluatorOf = (values: Readonly<Record<string, number>>): Evaluator => ({
      concurrency: 1,
      evaluate: () =>
        Promise.resolve({
          status: 'complete',
          values: { gain: 1, ...values },
          host: 'far',
          worker: 'away',
          startedAt: 0,
          durationMs: 1,
          attempts: 1,
        }),
      close: () => Promise.resolve(),
    });
    const options = { tactic: 'random', evaluations: 2, seed: 1 } as const;
    const { trials } = await runSearch(product, { ...options, evaluator: evaluatorOf({ 'constraint memory': 2 }) });
    expect(trials.map(({ values }) => values!['constraint memory'])).toEqual([2, 2]);
    for (const values of [{}, { 'constraint memory': Number.NaN }])
      await expect(runSearch(product, { ...options, evaluator: evaluatorOf(values) })).rejects.toMatchObject({
        code: 'measurement-failed',
        message: expect.stringMatching(/the evaluator gave the constraint memory of candidate .* as/) as string,
      });
  });

  it.each<[string, unknown, RegExp]>([
    ['no list', 'memory', /inequality is "memory": give a list/],
    ['no name', [{ evaluate: () => 0 }], /inequality\[0\] has the name undefined/],
    ['an objective’s name', [{ name: 'gain', evaluate: () => 0 }], /"gain" is named twice/],
    ['one name twice', [memory, memory], /"memory" is named twice/],
    ['nothing to measure it by', [{ name: 'memory' }], /"memory" has no evaluate, and the problem no measure/],
  ])('with %s are refused before anything is measured', async (_, inequality, message) => {
    const problem = { ...product, inequality } as SearchProblem;
    await expect(runSearch(problem, { evaluations: 1 })).rejects.toMatchObject({
      code: 'invalid-problem',
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([srn(), tnk()])('$name: rank as in NSGA-II, and predictors learn where they hold', async (made) => {
    const problem = searched(made);
    const options = { population: 20, evaluations: 100, seed: 1 };
    const random = await runSearch(problem, { ...options, tactic: 'random' });
    const luck = shareKept(random.trials);
    for (const tactic of ['nsga2', 'linas'] as const) {
      const { trials } = await runSearch(problem, { ...options, tactic });
      expect(trials.every(({ status }) => status === 'complete')).toBe(true);
      expect(shareKept(trials.slice(60))).toBeGreaterThan(2 * luck);
    }
  });

  it('are means of repeated measurements', async () => {
    const noisy: SearchProblem = {
      ...product,
      inequality: [{ name: 'memory', evaluate: ([a = 0], { seed }) => a - 6 + new Random(seed).normal() }],
    };
    const { trials } = await runSearch(repeated(noisy, { least: 3, most: 3 }), {
      tactic: 'random',
      evaluations: 5,
      seed: 1,
    });
    for (const { genes, seed, values } of trials) {
      expect(values).not.toHaveProperty('memory');
      const single = genes[0]! - 6 + new Random(seed).normal();
      expect(values!['constraint memory']).not.toBe(single);
      expect(Math.abs(values!['constraint memory']! - (genes[0]! - 6))).toBeLessThan(3);
    }
  });

  it.each(['nsga2', 'linas'] as const)('%s ranks trials that were stopped before any was known', async (tactic) => {
    const batches = createProblem();
    const problem: SearchProblem = {
      ...batches,
      inequality: [{ name: 'first gene', evaluate: ([a = 0]) => 1 - a }],
    };
    const { trials, front } = await runSearch(problem, {
      tactic: { name: tactic, population: 20 },
      evaluations: 80,
      seed: 1,
      earlyStopping: true,
    });
    expect(trials.some(({ status }) => status === 'stopped')).toBe(true);
    expect(trials.some(({ status }) => status === 'failed')).toBe(false);
    expect(front.every(({ genes }) => genes[0]! >= 1)).toBe(true);
  });
});

describe('constraints of other studies', () => {
  /** With the `constraints_func` of the fixtures' studies. */
  const layers: SearchProblem = {
    ...layersProblem,
    inequality: [
      { name: '0', evaluate: ([n = 0]) => n - 3 },
      { name: '1', evaluate: ([, rate = 0]) => 0.25 - rate },
    ],
  };

  it.each(['linas', 'nsga2', 'random', 'successive'] as const)(
    'Optuna’s hold for new trials of %s that say their values',
    async (tactic) => {
      const path = join(folder, `${tactic}.db`);
      using database = new DatabaseSync(path);
      database.exec(readFileSync(new URL('../fixtures/optuna-constraints-4.sql', import.meta.url), 'utf8'));
      const measurements = await readMeasurements(path, { study: 'listed', objectives: ['accuracy', 'cost'] });
      const options = { evaluations: 30, seed: 1, measurements, tactic: { name: tactic, population: 10 } };
      const { trials, front } = await runSearch(layers, options);
      const fresh = trials.filter(({ origin }) => origin !== 'known');
      expect(fresh).toHaveLength(30);
      for (const { genes, values } of fresh)
        expect(values).toMatchObject({ 'constraint 0': genes[0]! - 3, 'constraint 1': 0.25 - genes[1]! });
      expect(front.length).toBeGreaterThan(1);
      for (const { genes } of front) {
        expect(genes[0]).toBeLessThanOrEqual(3);
        expect(genes[1]).toBeGreaterThanOrEqual(0.25);
      }
      // Without its list a trial is not taken for feasible.
      const unknown = trials.filter(({ values = {} }) => values['constraint unknown'] === 1);
      expect(unknown).toHaveLength(2);
      expect(front.some(({ number }) => unknown.some((trial) => trial.number === number))).toBe(false);
    },
  );

  it('teach what to stay away from, even where new trials have no value of them', async () => {
    const { inequality: _, ...plain } = product;
    const random = new Random(3);
    const drawn = Array.from({ length: 40 }, () => [random.integer(0, 9), random.integer(0, 9)] as const);
    const shareOver = async (constrained: boolean): Promise<number> => {
      const { trials } = await runSearch(plain, {
        tactic: 'linas',
        population: 10,
        evaluations: 20,
        seed: 1,
        measurements: drawn.map(([a, b]) => ({
          candidate: [a, b],
          values: { gain: 3 * a + b },
          ...(constrained ? { constraints: { sum: a + b - 9 } } : {}),
        })),
      });
      const proposed = trials.filter(({ origin }) => origin !== 'known' && origin !== 'random').slice(0, 10);
      return proposed.filter(({ genes: [a = 0, b = 0] }) => a + b > 9).length / proposed.length;
    };
    expect(await shareOver(true)).toBeLessThan(0.5 * (await shareOver(false)));
  });

  it('come into a warm start: what kept them first, then by how far they were overstepped', async () => {
    const { study } = await runSearch(product, { tactic: 'random', evaluations: 60, seed: 4 });
    const space = new Space(product);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), (count) => {
        const found = warmCandidates({ space, bounds: [] }, warmStart(space, { study }), count, new Set());
        expect(found).toHaveLength(count);
        const over = found.map(({ genes }) => Math.max(0, genes[0]! * genes[1]! - 6));
        expect(over).toEqual(over.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe('bounds', () => {
  it('look at each known trial once, however often they are asked for', () => {
    const known = Array.from({ length: 500 }, (_, number) =>
      completeTrial({
        number,
        genes: [number % 10, (number / 10) | 0],
        origin: 'known',
        values: { gain: 1, cost: 1, [`constraint ${number === 499 ? 'late' : 'early'}`]: 1 },
      }),
    );
    let reads = 0;
    const counted = new Proxy(known, {
      get(target, key, receiver) {
        reads++;
        return Reflect.get(target, key, receiver) as unknown;
      },
    });
    const set = new ConstraintSet(new Space(product), ['gain >= 1']);
    const names = ['gain', 'constraint memory', 'constraint early', 'constraint late'];
    expect(set.bounds(counted).map(({ name }) => name)).toEqual(names);
    const first = reads;
    for (let i = 0; i < 10; i++) expect(set.bounds(counted).map(({ name }) => name)).toEqual(names);
    expect(first).toBeGreaterThanOrEqual(500);
    expect(reads - first).toBeLessThan(100);
  });
});
