// A study as a view: from memory, from its file's tables, from an Optuna storage.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { categorical, integer, permutation, real } from '@instatune/nsga2';
import { runSearch, type SearchProblem } from '../../src/index.ts';
import { studyViewFromDatabase, toStudyView, type Query } from '../../src/report.ts';
import { measuredTrials, viewFront, viewFrontSteps, viewHistory } from '../../src/view/front.ts';

const problem: SearchProblem = {
  name: 'mixed',
  space: [integer(1, 6, 'layers'), categorical(['relu', 'gelu'], 'act'), real(0, 1), permutation(3, 'order')],
  objectives: [
    {
      name: 'accuracy',
      kind: 'measured',
      direction: 'maximize',
      unit: '%',
      evaluate([layers, act, rate]) {
        if (layers === 4) throw new Error('out of memory');
        return 10 * layers! + act! - rate!;
      },
    },
    { name: 'cost', kind: 'exact', evaluate: ([layers, , rate, first]) => layers! + rate! + first! },
  ],
  constraints: ['cost <= 6'],
};

const options = { tactic: 'random', evaluations: 24, population: 8, seed: 2 } as const;

function queryOf(database: DatabaseSync): Query {
  return (sql) => database.prepare(sql).all();
}

describe('toStudyView', () => {
  it('names variables and values, and keeps what failed', async () => {
    const { study, front, history } = await runSearch(problem, options);
    const view = toStudyView(study);
    expect(JSON.parse(JSON.stringify(view))).toEqual(view);
    expect(view.variables).toEqual([
      { name: 'layers', kind: 'integer', bounds: [1, 6] },
      { name: 'act', kind: 'categorical', values: ['relu', 'gelu'] },
      { name: 'x2', kind: 'real', bounds: [0, 1] },
      { name: 'order', kind: 'permutation' },
    ]);
    expect(view.objectives[0]).toEqual({ name: 'accuracy', unit: '%', direction: 'maximize' });
    const [first] = view.trials;
    expect(['relu', 'gelu']).toContain(first!.values['act']);
    expect([...(first!.values['order'] as number[])].sort((a, b) => a - b)).toEqual([0, 1, 2]);
    const failed = view.trials.filter(({ state }) => state === 'failed');
    expect(failed.length).toBeGreaterThan(0);
    expect(failed[0]!.error).toContain('out of memory');
    expect(viewFront(view).map(({ number }) => number)).toEqual(front.map(({ number }) => number));
    expect(viewHistory(view).map(({ hypervolume }) => hypervolume)).toEqual(history.map((point) => point.hypervolume));
  });
});

describe('studyViewFromDatabase', () => {
  it('is the view of the study that wrote the file', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'view-')), 'study.db');
    const { study } = await runSearch(problem, { ...options, study: path });
    using database = new DatabaseSync(path, { readOnly: true });
    expect(await studyViewFromDatabase(queryOf(database))).toEqual(toStudyView(study));
    await expect(studyViewFromDatabase(queryOf(database), { study: 'other' })).rejects.toMatchObject({
      code: 'study-missing',
    });
  });

  it('reads Optuna’s tables: parameters by name, failed trials, directions', async () => {
    using database = new DatabaseSync(':memory:');
    database.exec(readFileSync(join(import.meta.dirname, '../fixtures/optuna.sql'), 'utf8'));
    const view = await studyViewFromDatabase(queryOf(database), { study: 'knobs' });
    const one = studyViewFromDatabase(queryOf(database), { study: 'knobs', objectives: ['accuracy'] });
    await expect(one).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('2 objectives, and 1 names') as string,
    });
    expect(view.objectives.map(({ name, direction }) => [name, direction])).toEqual([
      ['accuracy', 'maximize'],
      ['cost', 'minimize'],
    ]);
    expect(view.variables.find(({ name }) => name === 'act')).toMatchObject({ values: ['relu', 'gelu'] });
    expect(view.trials.filter(({ state }) => state === 'failed')).toHaveLength(1);
    for (const { values, objectives } of measuredTrials(view)) {
      const expected = 10 * Number(values['layers']) + Number(values['act'] === 'gelu') - Number(values['rate']);
      expect(objectives['accuracy']).toBeCloseTo(expected, 9);
    }
  });

  it('reads Optuna 2’s tables: values without types, older distributions', async () => {
    using database = new DatabaseSync(':memory:');
    database.exec(readFileSync(join(import.meta.dirname, '../fixtures/optuna-2.sql'), 'utf8'));
    const view = await studyViewFromDatabase(queryOf(database), { objectives: ['accuracy', 'cost'] });
    expect(view.trials.map(({ state, objectives }) => [state, objectives['accuracy']])).toEqual([
      ['complete', 30],
      ['failed', undefined],
      ['failed', undefined],
      // Infinite there.
      ['complete', undefined],
      ['complete', 20],
      ['complete', 60],
      ['complete', 30],
    ]);
    expect(view.variables).toMatchObject([
      { name: 'layers', kind: 'integer', bounds: [1, 6] },
      { name: 'act', kind: 'categorical', values: ['relu', 'gelu', 'null'] },
      { name: 'rate', kind: 'real', scale: 'log' },
      { name: 'width', kind: 'real', step: 8 },
    ]);
  });

  it('says what is no study', async () => {
    using database = new DatabaseSync(':memory:');
    database.exec('CREATE TABLE songs (id INTEGER)');
    await expect(studyViewFromDatabase(queryOf(database), { path: 'music.db' })).rejects.toMatchObject({
      code: 'corrupt-study',
      message: expect.stringContaining('songs'),
    });
    const broken: Query = () => {
      throw new Error('file is not a database');
    };
    await expect(studyViewFromDatabase(broken)).rejects.toMatchObject({ code: 'corrupt-study' });
  });
});

describe('the front of a view', () => {
  it('holds no trial that another one beats, and all that none beats', () => {
    const values = fc.record({ a: fc.integer({ min: 0, max: 6 }), b: fc.integer({ min: 0, max: 6 }) });
    fc.assert(
      fc.property(fc.array(values, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (points, step) => {
        const view = {
          name: 'v',
          variables: [],
          objectives: [
            { name: 'a', direction: 'maximize' as const },
            { name: 'b', direction: 'minimize' as const },
          ],
          constraints: [{ text: 'b <= 5', name: 'b', relation: '<=' as const, bound: 5 }],
          trials: points.map((objectives, number) => ({ number, state: 'complete', values: {}, objectives })),
        };
        const inside = points.filter(({ b }) => b <= 5);
        const beaten = ({ a, b }: { a: number; b: number }) =>
          inside.some((o) => o.a >= a && o.b <= b && (o.a > a || o.b < b));
        const front = new Set(viewFront(view).map(({ number }) => number));
        points.forEach((point, number) => expect(front.has(number)).toBe(point.b <= 5 && !beaten(point)));
        // Bit by bit the same, in the same order.
        const steps = viewFrontSteps({ ...view }, step);
        let last = steps.next();
        while (!last.done) last = steps.next();
        expect(last.value).toEqual(viewFront(view));
      }),
    );
  });
});
