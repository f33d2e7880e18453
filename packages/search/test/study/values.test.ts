// Extras that are no numbers: never within a budget, the same before and after the file; what no file keeps is refused in words.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Evaluator } from '../../src/evaluate/evaluator.ts';
import { inProcess } from '../../src/evaluate/in-process.ts';
import { workerPool } from '../../src/evaluate/worker-pool.ts';
import type { SearchProblem } from '../../src/problem.ts';
import { renderReport } from '../../src/report/html.ts';
import { pick } from '../../src/run/pick.ts';
import { resultOf } from '../../src/run/result.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { studyToCsv, studyToJson } from '../../src/study/export.ts';
import { readStudy } from '../../src/study/sqlite.ts';
import { decodeValues, encodeValues } from '../../src/study/values.ts';
import type { Tactic } from '../../src/tactics/tactic.ts';

const newPath = () => join(mkdtempSync(join(tmpdir(), 'values-')), 'study.db');
const quick = { tactic: 'random', evaluations: 8, population: 8, seed: 1 } as const;

/** Two objectives, and whatever `extras` says of each candidate. */
const problemWith = (extras: (genes: readonly number[]) => Record<string, unknown>): SearchProblem => ({
  name: 'extras',
  space: [0, 1, 2].map((i) => ({ type: 'integer', lower: 0, upper: 9, name: `g${i}` }) as const),
  measure: (genes) => ({ loss: genes.reduce((a, b) => a + b, 0), ...(extras(genes) as Record<string, number>) }),
  objectives: [
    { name: 'loss', kind: 'measured' },
    { name: 'size', kind: 'exact', evaluate: (genes) => genes.reduce((sum, x) => sum + (9 - x) ** 2, 0) },
  ],
});

describe('an extra that is no number', () => {
  it.each([Number.NaN, null, Infinity, -Infinity, undefined, 'n/a', '4', true, [3]])(
    '%j is within no budget, in the run and from the file, and survives it',
    async (extra) => {
      const problem = problemWith(() => ({ peak: extra, time: 3 }));
      const study = newPath();
      const run = await runSearch(problem, { ...quick, study });
      const read = resultOf(problem, readStudy(study));
      expect(read.trials.map(({ values }) => values)).toEqual(run.trials.map(({ values }) => values));
      for (const result of [run, read]) {
        for (const budget of ['peak <= 5', 'peak >= 1', 'peak >= -1e300']) {
          // A name of which nothing was ever said is not known at all.
          const code = extra === undefined ? 'bad-constraint' : 'empty-front';
          expect(() => pick(result, { budget })).toThrow(expect.objectContaining({ code }));
        }
        expect(pick(result, { budget: 'time <= 5' }).point.values['time']).toBe(3);
        expect(renderReport(result)).toContain('<html');
      }
      expect(JSON.parse(JSON.stringify(studyToJson(readStudy(study))))).toEqual(studyToJson(readStudy(study)));
    },
  );

  it('is out of budget for those who lack it only', async () => {
    const problem = problemWith(([a]) => ({ peak: a! % 2 === 0 ? Number.NaN : a! }));
    const study = newPath();
    const run = await runSearch(problem, { ...quick, evaluations: 30, population: 30, study });
    const read = resultOf(problem, readStudy(study));
    const { point } = pick(run, { budget: 'peak <= 9' });
    expect(point.genes[0]! % 2).toBe(1);
    expect(pick(read, { budget: 'peak <= 9' }).point).toEqual(point);
    expect(() => pick(read, { budget: 'peak <= 0' })).toThrow(/the front reaches [13579]/);
  });

  it('says nothing relative to a baseline that has none', async () => {
    const problem = { ...problemWith(() => ({ peak: Number.NaN })), baseline: [9, 9, 9] };
    const result = await runSearch(problem, quick);
    expect(() => pick(result, { budget: 'peak <= 0.6x' })).toThrow(expect.objectContaining({ code: 'no-baseline' }));
  });

  it('is null in a file of before, and within no budget either', async () => {
    const problem = problemWith(() => ({ peak: 1 }));
    const study = newPath();
    await runSearch(problem, { ...quick, study });
    const database = new DatabaseSync(study);
    database.exec(`UPDATE trials SET trial_values = json_set(trial_values, '$.peak', json('null'))`);
    database.close();
    expect(() => pick(resultOf(problem, readStudy(study)), { budget: 'peak <= 5' })).toThrow(
      expect.objectContaining({ code: 'empty-front' }),
    );
  });

  it('is told apart in a CSV', async () => {
    const { study } = await runSearch(
      problemWith(() => ({ a: Number.NaN, b: -Infinity, c: null })),
      quick,
    );
    const [columns, row] = studyToCsv(study).split('\r\n') as [string, string];
    expect(columns).toContain('loss,size,a,b,c,');
    expect(row).toContain(',NaN,-Infinity,,');
  });
});

it('every number comes back from JSON', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.double()), (values) => {
      // −0 is 0 in JSON.
      const plain = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value + 0]));
      expect(decodeValues(JSON.parse(JSON.stringify(encodeValues(plain))))).toEqual(plain);
    }),
  );
});

describe('a BigInt', () => {
  it('is a failed measurement that says so: as an extra, inside one, as an objective', async () => {
    for (const [extras, message] of [
      [{ peak: 5n }, /peak is 5, a BigInt: convert it with Number/],
      [{ peak: { bytes: 5n } }, /peak is .*BigInt/],
      [{ loss: 5n }, /loss is 5, a BigInt/],
    ] as const) {
      const study = newPath();
      const problem = problemWith(([a]) => (a! % 2 === 0 ? extras : {}));
      const { trials } = await runSearch(problem, { ...quick, study });
      const failed = trials.filter(({ status }) => status === 'failed');
      expect(failed.length).toBeGreaterThan(0);
      for (const { error, genes } of failed) {
        expect(error).toMatch(message);
        expect(genes[0]! % 2).toBe(0);
      }
      expect((await resume(problem, { study, evaluations: 10 })).trials).toHaveLength(10);
    }
  });

  it('from an evaluator of one’s own, a tactic or a space is a typed error', async () => {
    const problem = problemWith(() => ({}));
    const own: Evaluator = {
      ...inProcess(problem),
      evaluate: async (job) => ({
        ...(await inProcess(problem).evaluate(job)),
        values: { loss: 1, peak: 5n as unknown as number },
        status: 'complete',
        startedAt: 0,
        durationMs: 1,
      }),
    };
    await expect(runSearch(problem, { ...quick, study: newPath(), evaluator: own })).rejects.toMatchObject({
      code: 'measurement-failed',
      message: expect.stringContaining('BigInt') as string,
    });
    const tactic: Tactic = {
      name: 'own',
      settings: {},
      population: 4,
      propose: () => ({ candidates: [{ genes: [0, 0, 0], origin: 'own' }], info: { seen: 5n } }),
    };
    await expect(runSearch(problem, { ...quick, study: newPath(), tactic })).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('BigInt') as string,
    });
    const space: SearchProblem['space'] = [{ type: 'categorical', values: [1n, 2n] }];
    await expect(runSearch({ ...problem, space }, quick)).rejects.toMatchObject({
      code: 'invalid-problem',
      message: expect.stringContaining('BigInt') as string,
    });
    const exact = { name: 'size', kind: 'exact', evaluate: () => 5n as unknown as number } as const;
    await expect(runSearch({ ...problem, objectives: [problem.objectives[0]!, exact] }, quick)).rejects.toMatchObject({
      code: 'invalid-problem',
      message: expect.stringContaining('BigInt 5') as string,
    });
  });

  it('of a thread is a failed measurement too', async () => {
    const evaluator = workerPool({ module: join(import.meta.dirname, '../fixtures/extras.ts'), threads: 1 });
    const { createProblem } = await import('../fixtures/extras.ts');
    const { trials } = await runSearch(createProblem(), { ...quick, evaluations: 6, population: 6, evaluator });
    await evaluator.close();
    const here = await runSearch(createProblem(), { ...quick, evaluations: 6, population: 6 });
    expect(trials.map(({ status, values, error }) => [status, values, error])).toEqual(
      here.trials.map(({ status, values, error }) => [status, values, error]),
    );
    expect(new Set(trials.map(({ status }) => status))).toEqual(new Set(['complete', 'failed']));
  });
});
