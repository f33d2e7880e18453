// Constraints that measurements come with: Optuna's, in its storages and tables, and those given by hand.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMeasurements } from '../../src/node.ts';
import type { KnownMeasurement } from '../../src/given/known.ts';
import { studyViewFromDatabase, toStudyView } from '../../src/report.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { studyToCsv } from '../../src/study/export.ts';
import { optunaConstraints } from '../../src/study/optuna-constraints.ts';
import { viewFront } from '../../src/view/front.ts';
import { layersProblem } from '../fixtures/layers.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'known-constraints-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const options = { tactic: 'nsga2', population: 4, seed: 1 } as const;

function storage(fixture: string): { readonly path: string; readonly database: DatabaseSync } {
  const path = join(folder, `${fixture}.db`);
  rmSync(path, { force: true });
  const database = new DatabaseSync(path);
  database.exec(readFileSync(new URL(`../fixtures/${fixture}.sql`, import.meta.url), 'utf8'));
  return { path, database };
}

/** The front that Optuna 4.1 has of the study of lists, and 5.0 of that of keys (`study.best_trials`). */
const STORAGES = [
  ['optuna-constraints-2', 'listed', [0, 3]],
  ['optuna-constraints-4', 'listed', [0, 3]],
  ['optuna-constraints-5', 'listed', [0, 3]],
  ['optuna-constraints-5', 'named', [0, 2]],
] as const;
const objectives = ['accuracy', 'cost'];

const numbers = (list: readonly { readonly number: number }[]): number[] =>
  list.map(({ number }) => number).toSorted((a, b) => a - b);

describe('constraints of Optuna', () => {
  it.each(STORAGES)('%s, study %s: what violates them is known and not on the front', async (fixture, study, best) => {
    const { path, database } = storage(fixture);
    using _ = database;
    const view = await studyViewFromDatabase((sql) => database.prepare(sql).all(), { study, objectives });
    expect(numbers(viewFront(view))).toEqual(best);
    const measurements = await readMeasurements(path, { study, objectives });
    const kept = join(folder, `${fixture}-${study}-search.db`);
    const result = await runSearch(layersProblem, { ...options, evaluations: 1, measurements, study: kept });
    const known = result.trials.filter(({ origin }) => origin === 'known');
    expect(known.every(({ status }) => status === 'complete')).toBe(true);
    expect(known).toHaveLength(view.trials.length);
    const front = result.front.filter(({ number }) => number < known.length).map(({ number }) => number);
    expect(best).toEqual(expect.arrayContaining(front));
    expect(numbers(viewFront(toStudyView(result.study)))).toEqual(numbers(result.front));
    // They hold in the study's file, its table and what is read from either.
    const table = join(folder, `${fixture}-${study}.csv`);
    writeFileSync(table, studyToCsv(result.study));
    for (const file of [kept, table]) {
      const again = await runSearch(layersProblem, {
        ...options,
        evaluations: 1,
        measurements: await readMeasurements(file),
      });
      const values = again.trials.slice(0, known.length).map((trial) => trial.values);
      expect(values).toEqual(known.map((trial) => trial.values));
      expect(again.front.filter(({ number }) => number < known.length).map(({ number }) => number)).toEqual(front);
    }
    const more = await resume(layersProblem, { study: kept, evaluations: 8 });
    expect(
      more.front.filter(({ number }) => number < known.length).every(({ number }) => best.some((n) => n === number)),
    ).toBe(true);
  });

  it('are kept by name, and a trial without its list is not taken for feasible', async () => {
    const { path, database } = storage('optuna-constraints-5');
    using _ = database;
    const listed = await readMeasurements(path, { study: 'listed' });
    expect(listed.rows.map(({ constraints }) => constraints)).toEqual([
      { 0: 0, 1: -0.25 },
      { 0: 3, 1: -0.25 },
      { 0: 0, 1: 0.15 },
      { 0: -1, 1: 0 },
      { 0: 2, 1: 0.25 },
      { unknown: 1 },
      { unknown: 1 },
    ]);
    const named = await readMeasurements(path, { study: 'named' });
    expect(named.rows.map(({ constraints }) => constraints)).toEqual([
      { depth: 0 },
      { depth: 3 },
      {},
      { depth: -1, memory: Number.MAX_VALUE },
    ]);
  });

  it('are read from trials_dataframe, as Python writes them', async () => {
    const path = join(folder, 'frame.csv');
    writeFileSync(
      path,
      [
        'number,values_accuracy,values_cost,params_layers,params_rate,system_attrs_constraints,system_attrs_constraints:depth,state',
        '0,29.5,3.5,3,0.5,"[0.0, -0.25]",-1.0,COMPLETE',
        '1,59.5,6.5,6,0.5,"(np.float64(3.0), True)",,COMPLETE',
        '2,29.9,3.1,3,0.1,,,COMPLETE',
        '3,19.75,2.25,2,0.25,"[-1.0, -inf]",inf,COMPLETE',
        '4,50,5,5,0,"[nan, 0]",0,COMPLETE',
        '',
      ].join('\n'),
    );
    const { rows } = await readMeasurements(path);
    expect(rows.map(({ constraints }) => constraints)).toEqual([
      { 0: 0, 1: -0.25, depth: -1 },
      { 0: 3, 1: 1 },
      { unknown: 1 },
      { 0: -1, 1: -Number.MAX_VALUE, depth: Number.MAX_VALUE },
      { unknown: 1, 1: 0, depth: 0 },
    ]);
  });

  it('hold exactly where each is 0 or less, however they are written', () => {
    const value = fc.double({ noNaN: true });
    const written = (one: number): string => (Number.isFinite(one) ? String(one) : one > 0 ? 'Infinity' : '-Infinity');
    fc.assert(
      fc.property(fc.array(fc.array(value, { maxLength: 4 }), { minLength: 1 }), fc.boolean(), (trials, asKeys) => {
        const attributes = trials.map((constraints) =>
          asKeys
            ? Object.fromEntries(constraints.map((one, index) => [`constraints:c${index}`, written(one)]))
            : { constraints: `[${constraints.map(written).join(', ')}]` },
        );
        const read = optunaConstraints(attributes);
        expect(read.map((own) => Object.values(own).every((one) => one <= 0))).toEqual(
          trials.map((constraints) => constraints.every((one) => one <= 0)),
        );
      }),
    );
  });
});

describe('constraints of measurements', () => {
  const rows: KnownMeasurement[] = [
    { candidate: [6, 0], values: { accuracy: 60 }, constraints: [0.5, -1] },
    { candidate: [5, 0], values: { accuracy: 50 }, constraints: { 0: 0, 1: -1 } },
    { candidate: [4, 0], values: { accuracy: 40 } },
  ];

  it.each(['linas', 'nsga2', 'random', 'successive'] as const)(
    'keep violating ones off the front of %s',
    async (tactic) => {
      const violating = Array.from({ length: 8 }, (_, i): KnownMeasurement => {
        const rate = (1 + i) / 100;
        return { candidate: [6, rate], values: { accuracy: 1000 - rate }, constraints: { memory: 1 } };
      });
      const { trials, front } = await runSearch(layersProblem, {
        ...options,
        tactic,
        evaluations: 12,
        measurements: [...rows, ...violating],
      });
      expect(trials.filter(({ origin }) => origin !== 'known')).toHaveLength(12);
      expect(front.some(({ values }) => values['accuracy']! > 100)).toBe(false);
      // Trials of the search have no such value, and are not held to it.
      expect(front.some(({ number }) => trials[number]!.origin !== 'known')).toBe(true);
      expect(trials[0]!.values).toEqual({ accuracy: 60, cost: 6, 'constraint 0': 0.5, 'constraint 1': -1 });
    },
  );

  it('of one candidate count as their mean; what is no number is refused', async () => {
    const twice = [...rows, { candidate: [6, 0], values: { accuracy: 58 }, constraints: [-1.5] }];
    const { trials } = await runSearch(layersProblem, { ...options, evaluations: 1, measurements: twice });
    expect(trials[0]!.values).toEqual({ accuracy: 59, cost: 6, 'constraint 0': -0.5, 'constraint 1': -1 });
    const wrong = [{ ...rows[0]!, constraints: { memory: Number.NaN } }];
    await expect(runSearch(layersProblem, { ...options, evaluations: 1, measurements: wrong })).rejects.toMatchObject({
      code: 'measurement-failed',
      message: expect.stringContaining('measurement 0 has the constraint memory as') as string,
    });
  });
});
