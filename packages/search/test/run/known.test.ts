// Candidates to measure first, and measurements that were made before: by hand, from tables, from Optuna, from other studies.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { boolean, categorical, integer, permutation, real } from '@instatune/nsga2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SearchError } from '../../src/errors.ts';
import { readMeasurements } from '../../src/node.ts';
import type { SearchProblem } from '../../src/problem.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { studyToCsv } from '../../src/study/export.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'known-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Counts what it measures. */
function knobs(): SearchProblem & { readonly measured: string[] } {
  const measured: string[] = [];
  return {
    measured,
    name: 'knobs',
    space: [integer(1, 6, 'layers'), categorical(['relu', 'gelu'], 'act'), real(0, 1, 'rate'), boolean('tied')],
    objectives: [
      {
        name: 'accuracy',
        kind: 'measured',
        direction: 'maximize',
        unit: '%',
        evaluate(genes) {
          measured.push(genes.join());
          const [layers = 0, act = 0, rate = 0] = genes;
          return layers * 10 + act - rate;
        },
      },
      { name: 'cost', kind: 'exact', evaluate: ([layers = 0, , rate = 0, tied = 0]) => layers + rate + tied },
    ],
    baseline: [6, 1, 0, 1],
  };
}
const quick = { tactic: { name: 'linas', innerEvaluations: 600 }, population: 8 } as const;

async function refused(action: () => Promise<unknown>): Promise<SearchError> {
  const error = await action().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SearchError)) throw new Error(`not refused as expected: ${String(error)}`);
  return error;
}

describe('candidates', () => {
  it('are measured first, after the baseline, by genes or by names, and once each', async () => {
    const { trials } = await runSearch(knobs(), {
      ...quick,
      evaluations: 10,
      candidates: [[2, 1, 0.5, 0], { act: 'relu', layers: 3, rate: '0.25', tied: true }, [2, 1, 0.5, 0]],
    });
    expect(trials.slice(0, 3).map(({ genes, origin }) => [origin, ...genes])).toEqual([
      ['baseline', 6, 1, 0, 1],
      ['given', 2, 1, 0.5, 0],
      ['given', 3, 0, 0.25, 1],
    ]);
    expect(trials).toHaveLength(10);
    expect(trials.filter(({ round }) => round === 0)).toHaveLength(8);
  });

  it('may be more than a round, and are still measured in a resumed study', async () => {
    const path = join(folder, 'many.db');
    const candidates = Array.from({ length: 12 }, (_, i) => [1 + (i % 6), i % 2, i / 20, 0]);
    const problem = knobs();
    const first = await runSearch(problem, { ...quick, evaluations: 5, candidates, study: path });
    expect(first.trials.map(({ origin }) => origin)).toEqual(['baseline', 'given', 'given', 'given', 'given']);
    const { trials } = await resume(problem, { study: path, evaluations: 20 });
    expect(trials.slice(1, 13).map(({ genes }) => genes)).toEqual(candidates);
    const whole = await runSearch(problem, { ...quick, evaluations: 20, candidates });
    expect(trials.map(({ genes }) => genes)).toEqual(whole.trials.map(({ genes }) => genes));
  });

  it.each([
    [[1, 2], /candidate 0: 2 genes for problem "knobs" of 4/],
    [{ layers: 9, act: 'relu', rate: 0, tied: false }, /candidate 0: gene 0 \(layers\) is 9/],
    [{ layer: 2, act: 'relu', rate: 0, tied: false }, /"layer", which is no variable \(did you mean layers\?\)/],
    [{ layers: 2, act: 'tanh', rate: 0, tied: false }, /act as tanh: give one of relu, gelu/],
    [{ layers: 2, act: 'relu', rate: 'much', tied: false }, /rate as "much": give a number from 0 to 1/],
    [{ layers: 2, act: 'relu', rate: 0, tied: 'maybe' }, /tied as maybe: give true or false/],
    [{ layers: 2, act: 'relu', rate: 0 }, /has no tied: give a value for each of layers, act, rate, tied/],
  ])('%j is refused in words', async (candidate, words) => {
    const error = await refused(() => runSearch(knobs(), { ...quick, evaluations: 5, candidates: [candidate] }));
    expect(error.code).toBe('invalid-genes');
    expect(error.message).toMatch(words);
  });

  it('a variable that is not used needs no value; a permutation is a list or a value a place', async () => {
    const problem: SearchProblem = {
      name: 'parts',
      space: [boolean('extra'), integer(0, 5, 'size'), permutation(3, 'order')],
      active: ([extra]) => [true, extra === 1, true, true, true],
      objectives: [{ name: 'loss', kind: 'measured', evaluate: (genes) => genes.reduce((a, b) => a + b) }],
    };
    const { trials } = await runSearch(problem, {
      tactic: 'random',
      evaluations: 3,
      candidates: [
        { extra: false, order: [2, 0, 1] },
        { extra: true, size: 4, 'order.0': 1, 'order.1': 0, 'order.2': 2 },
        { extra: 'true', size: '5', order: '0 1 2' },
      ],
    });
    expect(trials.map(({ genes }) => genes)).toEqual([
      [0, 0, 2, 0, 1],
      [1, 4, 1, 0, 2],
      [1, 5, 0, 1, 2],
    ]);
    const error = await refused(() =>
      runSearch(problem, { tactic: 'random', evaluations: 1, candidates: [{ extra: true, order: [0, 1, 2] }] }),
    );
    expect(error.message).toMatch(/has no size/);
  });
});

describe('measurements', () => {
  const rows = Array.from({ length: 12 }, (_, i) => ({
    candidate: [1 + (i % 5), i % 2, i / 20, 0],
    values: { accuracy: 10 * (1 + (i % 5)) + (i % 2) - i / 20 },
  }));

  it('are on the front and learnt from, never measured, and not counted', async () => {
    const problem = knobs();
    const best = { candidate: [6, 1, 0, 0], values: { accuracy: 99 } };
    const { trials, front } = await runSearch(problem, { ...quick, evaluations: 6, measurements: [...rows, best] });
    expect(trials.filter(({ origin }) => origin === 'known')).toHaveLength(13);
    expect(problem.measured).toHaveLength(6);
    expect(problem.measured).not.toContain('6,1,0,0');
    expect(front.some(({ values }) => values['accuracy'] === 99)).toBe(true);
    // More are known than a first round has: after the baseline the tactic itself proposes.
    const origins = trials.filter(({ origin }) => origin !== 'known').map(({ origin }) => origin);
    expect(origins).toHaveLength(6);
    expect(origins[0]).toBe('baseline');
    expect(origins).not.toContain('random');
  });

  it('a few leave a smaller random first round', async () => {
    const { trials } = await runSearch(knobs(), { ...quick, evaluations: 12, measurements: rows.slice(0, 3) });
    expect(trials.map(({ origin }) => origin).slice(3, 9)).toEqual([
      'baseline',
      ...Array.from({ length: 4 }, () => 'random'),
      'linas',
    ]);
  });

  it('survive a resumption, in the same order, with the same proposals', async () => {
    const path = join(folder, 'resumed.db');
    const problem = knobs();
    await runSearch(problem, { ...quick, evaluations: 4, measurements: rows, study: path });
    const { trials } = await resume(problem, { study: path, evaluations: 14 });
    const whole = await runSearch(problem, { ...quick, evaluations: 14, measurements: rows });
    expect(trials.map(({ genes }) => genes)).toEqual(whole.trials.map(({ genes }) => genes));
  });

  it.each(['nsga2', 'random', 'successive'] as const)('serve %s', async (tactic) => {
    const problem = knobs();
    const { trials } = await runSearch(problem, { tactic, population: 6, evaluations: 14, measurements: rows });
    expect(trials.filter(({ origin }) => origin !== 'known')).toHaveLength(14);
    expect(new Set(trials.map(({ key }) => key)).size).toBe(trials.length);
  });

  it('repeated ones count as their mean; a failure is not tried again', async () => {
    const problem = knobs();
    const { trials } = await runSearch(problem, {
      ...quick,
      evaluations: 3,
      measurements: [
        { candidate: [1, 0, 0, 0], values: { accuracy: 9 } },
        { candidate: [1, 0, 0, 0], values: { accuracy: 11 } },
        { candidate: [2, 0, 0, 0], error: 'out of memory' },
        { candidate: [2, 1, 0, 0], error: 'lost' },
        { candidate: [2, 1, 0, 0], values: { accuracy: 21 } },
      ],
    });
    expect(trials[0]).toMatchObject({ status: 'complete', values: { accuracy: 10, cost: 1 } });
    expect(trials[1]).toMatchObject({ status: 'failed', error: 'out of memory' });
    expect(trials[2]).toMatchObject({ status: 'complete', values: { accuracy: 21 } });
    expect(problem.measured).not.toContain('2,0,0,0');
  });

  it.each([
    [{ rows, objectives: [{ name: 'accuracy', direction: 'minimize' }] }, 'space-mismatch', /accuracy to minimize/],
    [
      { rows, objectives: [{ name: 'accuracy', direction: 'maximize', unit: 'share' }] },
      'space-mismatch',
      /in "share"/,
    ],
    [
      [{ candidate: [1, 0, 0, 0], values: { accuracy: 9, cost: 1000 } }],
      'space-mismatch',
      /cost as 1000, which this problem computes as 1:/,
    ],
    [[{ candidate: [1, 0, 0, 0], values: {} }], 'measurement-failed', /measurement 0 has accuracy as undefined/],
    [[{ candidate: [1, 0, 0, 0], values: { accuracy: 'high' } }], 'measurement-failed', /"high"/],
    [[{ candidate: [1, 0, 7, 0], values: { accuracy: 1 } }], 'invalid-genes', /gene 2 \(rate\) is 7/],
  ])('are refused before anything is written: %#', async (measurements, code, words) => {
    const path = join(folder, 'refused.db');
    const error = await refused(() =>
      runSearch(knobs(), { ...quick, evaluations: 5, measurements: measurements as typeof rows, study: path }),
    );
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
    expect(existsSync(path)).toBe(false);
  });
});

describe('readMeasurements', () => {
  it('reads a table: columns by name, others ignored, texts as values', async () => {
    const path = join(folder, 'table.csv');
    writeFileSync(path, '\uFEFFlayers,act,rate,tied,accuracy,who\n2,gelu,0.5,true,20.5,me\n"3",relu,1,0,29,you\n');
    const problem = knobs();
    const { trials } = await runSearch(problem, {
      ...quick,
      evaluations: 2,
      measurements: await readMeasurements(path),
    });
    expect(trials.slice(0, 2).map(({ genes, values }) => [genes, values!['accuracy']])).toEqual([
      [[2, 1, 0.5, 1], 20.5],
      [[3, 0, 1, 0], 29],
    ]);
  });

  it('reads what studyToCsv writes, and a study itself, to the digit', async () => {
    const path = join(folder, 'own.db');
    const first = await runSearch(knobs(), { ...quick, evaluations: 9, seed: 4, study: path });
    const table = join(folder, 'own.csv');
    writeFileSync(table, studyToCsv(first.study));
    for (const file of [path, table]) {
      const problem = knobs();
      const { trials } = await runSearch(problem, {
        ...quick,
        evaluations: 1,
        measurements: await readMeasurements(file),
      });
      expect(trials.slice(0, 9).map(({ genes, values }) => [genes, values])).toEqual(
        first.trials.map(({ genes, values }) => [genes, values]),
      );
    }
  });

  it('reads studies of Optuna: choices, failures, metric names', async () => {
    const path = join(folder, 'optuna.db');
    using database = new DatabaseSync(path);
    database.exec(readFileSync(new URL('../fixtures/optuna.sql', import.meta.url), 'utf8'));
    const before = readFileSync(path);
    const measurements = await readMeasurements(path, { study: 'knobs' });
    expect(measurements.objectives).toEqual([
      { name: 'accuracy', direction: 'maximize' },
      { name: 'cost', direction: 'minimize' },
    ]);
    expect(measurements.rows).toHaveLength(8);
    expect(measurements.rows[0]).toMatchObject({
      candidate: { layers: 3, act: 'relu', rate: 0.30233257263183977, tied: true },
      values: { accuracy: 29.69766742736816, cost: 4.3023325726318395 },
    });
    expect(measurements.rows.filter(({ error }) => error !== undefined)).toHaveLength(1);
    const { trials, front } = await runSearch(knobs(), { ...quick, evaluations: 2, measurements });
    expect(trials.filter(({ origin }) => origin === 'known')).toHaveLength(8);
    expect(front.length).toBeGreaterThan(1);
    expect(readFileSync(path)).toEqual(before);

    expect((await refused(() => readMeasurements(path))).message).toMatch(/holds 2 studies: name one of knobs, single/);
    expect((await refused(() => readMeasurements(path, { study: 'x' }))).code).toBe('study-missing');
    expect((await refused(() => readMeasurements(path, { study: 'single' }))).message).toMatch(
      /1 objectives without names/,
    );
    expect((await readMeasurements(path, { study: 'single', objectives: ['loss'] })).rows).toHaveLength(3);
    database.exec("UPDATE trial_params SET distribution_json = 'broken'");
    const damaged = await refused(() => readMeasurements(path, { study: 'knobs' }));
    expect([damaged.code, damaged.message]).toEqual(['corrupt-study', expect.stringContaining('export it as CSV')]);
  });

  it('reads files of Optuna 2: values without types, a choice None, a trial that failed half way', async () => {
    const path = join(folder, 'optuna-2.db');
    using database = new DatabaseSync(path);
    database.exec(readFileSync(new URL('../fixtures/optuna-2.sql', import.meta.url), 'utf8'));
    const measurements = await readMeasurements(path, { objectives: ['accuracy', 'cost'] });
    expect(measurements.rows.map(({ error }) => error)).toEqual([
      undefined,
      'failed in Optuna',
      'failed in Optuna',
      'an objective was infinite in Optuna',
      undefined,
      undefined,
      undefined,
    ]);
    const space = [
      integer(1, 6, 'layers'),
      categorical(['relu', 'gelu', null], 'act'),
      real(1e-3, 1, 'rate'),
      real(8, 32, 'width'),
    ];
    const problem: SearchProblem = {
      name: 'wider',
      space,
      objectives: [
        { name: 'accuracy', kind: 'measured', direction: 'maximize', evaluate: ([layers = 0]) => 10 * layers },
        { name: 'cost', kind: 'measured', evaluate: ([layers = 0, , rate = 0]) => layers + rate },
      ],
    };
    const { trials } = await runSearch(problem, { ...quick, evaluations: 1, measurements });
    const known = trials.filter(({ origin }) => origin === 'known');
    // The one that failed after its first parameter is no candidate.
    expect(known.map(({ status, genes }) => [status, genes[0], genes[1]])).toEqual([
      ['complete', 3, 0],
      ['failed', 3, 1],
      ['failed', 6, 1],
      ['complete', 2, 1],
      ['complete', 6, 2],
      ['complete', 3, 0],
    ]);
    // pandas writes None as an empty cell.
    const table = join(folder, 'none-choice.csv');
    writeFileSync(table, 'layers,act,rate,width,accuracy,cost\n2,,0.5,8,20,2.5\n');
    const [, read] = (
      await runSearch(problem, { ...quick, evaluations: 1, measurements: await readMeasurements(table) })
    ).trials.toReversed();
    expect(read!.genes).toEqual([2, 2, 0.5, 8]);
    // What is measured must say every variable.
    const half = {
      ...quick,
      evaluations: 1,
      measurements: [{ candidate: { layers: 2 }, values: { accuracy: 20, cost: 2 } }],
    };
    expect((await refused(() => runSearch(problem, half))).message).toMatch(/has no act/);
  });

  it("reads Optuna's trials_dataframe, by names and by numbers, and tables that semicolons or tabs separate", async () => {
    const cells = (first: string, second: string): string =>
      [
        `number,${first},${second},datetime_start,params_act,params_layers,params_rate,params_tied,state`,
        '0,20.5,3.5,2026-11-30 15:20:30.694413,gelu,2,0.5,True,COMPLETE',
        '1,,,2026-11-30 15:20:31.694413,gelu,3,0.5,True,FAIL',
        '2,20.5,3,2026-11-30 15:20:32.694413,gelu,4,0.5,True,PRUNED',
        '',
      ].join('\n');
    const path = join(folder, 'dataframe.csv');
    for (const [text, objectives] of [
      [cells('values_accuracy', 'values_cost'), undefined],
      [cells('values_0', 'values_1'), ['accuracy', 'cost']],
    ] as const) {
      writeFileSync(path, text);
      const measurements = await readMeasurements(path, { objectives });
      expect(measurements.rows).toHaveLength(2);
      const { trials } = await runSearch(knobs(), { ...quick, evaluations: 1, measurements });
      expect(trials.slice(0, 2).map(({ genes, status }) => [genes, status])).toEqual([
        [[2, 1, 0.5, 1], 'complete'],
        [[3, 1, 0.5, 1], 'failed'],
      ]);
    }
    for (const delimiter of [';', '\t']) {
      writeFileSync(path, 'layers,act,rate,tied,accuracy\n2,gelu,0.5,true,20.5\n'.replaceAll(',', delimiter));
      const [row] = (await readMeasurements(path)).rows;
      expect(row!.candidate).toMatchObject({ layers: '2', act: 'gelu', accuracy: '20.5' });
    }
  });

  it('says what it cannot read', async () => {
    expect((await refused(() => readMeasurements(join(folder, 'none.csv')))).code).toBe('study-unreadable');
    const ragged = join(folder, 'ragged.csv');
    writeFileSync(ragged, 'a,b\n1,2,3\n');
    expect((await refused(() => readMeasurements(ragged))).code).toBe('corrupt-study');
    const empty = join(folder, 'empty.csv');
    writeFileSync(empty, '\n');
    expect((await refused(() => readMeasurements(empty))).code).toBe('corrupt-study');
    const cut = join(folder, 'cut.db');
    {
      using database = new DatabaseSync(join(folder, 'long.db'));
      database.exec(readFileSync(new URL('../fixtures/optuna.sql', import.meta.url), 'utf8'));
    }
    writeFileSync(cut, readFileSync(join(folder, 'long.db')).subarray(0, 9000));
    expect((await refused(() => readMeasurements(cut))).code).toBe('study-unreadable');
    const other = join(folder, 'other.db');
    new DatabaseSync(other).exec('CREATE TABLE things (id)');
    expect((await refused(() => readMeasurements(other))).message).toMatch(/study|schema/);
  });
});
