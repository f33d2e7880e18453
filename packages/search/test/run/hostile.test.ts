// What users and their functions get wrong: named before it costs a measurement, and nothing goes on behind their back.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Evaluator } from '../../src/evaluate/evaluator.ts';
import { inProcess } from '../../src/evaluate/in-process.ts';
import { workerPool } from '../../src/evaluate/worker-pool.ts';
import type { SearchProblem } from '../../src/problem.ts';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { studyToCsv } from '../../src/study/export.ts';
import { readStudy } from '../../src/study/sqlite.ts';
import type { StudyHeader } from '../../src/study/header.ts';
import { Study } from '../../src/study/study.ts';
import type { Tactic } from '../../src/tactics/tactic.ts';
import { createProblem } from '../fixtures/knobs.ts';

const newPath = () => join(mkdtempSync(join(tmpdir(), 'hostile-')), 'study.db');
const KNOBS = join(import.meta.dirname, '../fixtures/knobs.ts');

let measured = 0;
const problem: SearchProblem = {
  name: 'hostile',
  space: [
    { type: 'integer', lower: 0, upper: 9 },
    { type: 'integer', lower: 0, upper: 9 },
  ],
  objectives: [
    {
      name: 'loss',
      kind: 'measured',
      evaluate([a, b]) {
        measured++;
        return (9 - a!) ** 2 + (9 - b!) ** 2;
      },
    },
    { name: 'cost', kind: 'exact', evaluate: ([a, b]) => a! + b! },
  ],
};
const [loss, cost] = problem.objectives as [SearchProblem['objectives'][0], SearchProblem['objectives'][0]];
const quick = { tactic: 'random', evaluations: 12, population: 6, seed: 1 } as const;

describe('a problem that makes no sense', () => {
  const wrong: [string, unknown, string][] = [
    ['no problem', null, 'null is no problem'],
    ['unknown type', { ...problem, space: [{ type: 'int', lower: 0, upper: 3 }] }, 'of type "int"'],
    ['swapped bounds', { ...problem, space: [{ type: 'integer', lower: 5, upper: 1 }] }, 'integer(5, 1)'],
    ['fractional bounds', { ...problem, space: [{ type: 'integer', lower: 0.5, upper: 2.5 }] }, 'integer(0.5, 2.5)'],
    ['endless', { ...problem, space: [{ type: 'real', lower: 0, upper: Infinity }] }, 'real(0, Infinity)'],
    ['no values', { ...problem, space: [{ type: 'categorical' }] }, 'categorical([])'],
    ['no variable', { ...problem, space: [null] }, 'variable 0'],
    ['direction', { ...problem, objectives: [{ ...loss, direction: 'max' }, cost] }, 'direction "max"'],
    ['no name', { ...problem, objectives: [{ ...loss, name: undefined }, cost] }, 'has no name'],
    ['attribute', { ...problem, attributes: [{ name: 'size' }] }, 'attribute size has no evaluate'],
    ['reference', { ...problem, reference: { lss: 3 } }, 'reference lss'],
    ['constraints', { ...problem, constraints: 'cost <= 4' }, 'give a list'],
    ['active', { ...problem, active: () => [true] }, 'active gives 1 flags for 2 genes'],
    ['canonical', { ...problem, canonical: ([a, b]: number[]) => [a! + 100, b!] }, 'canonical makes bad genes'],
    [
      'exact NaN',
      { ...problem, objectives: [loss, { ...cost, evaluate: ([a]: number[]) => (a! > 3 ? NaN : a!) }] },
      'cost of candidate',
    ],
    [
      'attribute undefined',
      { ...problem, attributes: [{ name: 'size', evaluate: ([a]: number[]) => (a! > 3 ? undefined : a!) }] },
      'is undefined: give a finite number',
    ],
  ];
  it.each(wrong)('%s', async (_, bad, message) => {
    measured = 0;
    await expect(runSearch(bad as SearchProblem, quick)).rejects.toMatchObject({
      code: 'invalid-problem',
      message: expect.stringContaining(message) as string,
    });
    expect(measured).toBe(0);
  });
});

describe('options that make no sense, before a study is written', () => {
  it.each([
    [{ tactic: { name: 'successive', optimize: 'los' } }, 'cannot optimise "los"'],
    [{ tactic: { name: 'successive', patience: 0 } }, 'patience is 0'],
    [{ reportSplit: 'search' }, 'reportSplit is "search"'],
  ] as const)('%j', async (options, message) => {
    const study = newPath();
    await expect(runSearch(problem, { ...quick, ...options, study })).rejects.toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining(message) as string,
    });
    expect(() => readStudy(study)).toThrow(expect.objectContaining({ code: 'study-missing' }));
  });

  it('an evaluator for no trial at a time', async () => {
    const evaluator = { ...inProcess(problem), concurrency: Number.NaN };
    await expect(runSearch(problem, { ...quick, evaluator })).rejects.toMatchObject({ code: 'invalid-option' });
  });

  it('an evaluator that leaves a value out', async () => {
    const evaluator: Evaluator = {
      concurrency: 1,
      evaluate: () =>
        Promise.resolve({
          status: 'complete',
          values: {},
          host: 'h',
          worker: 'w',
          startedAt: 0,
          durationMs: 1,
          attempts: 1,
        }),
      close: () => Promise.resolve(),
    };
    await expect(runSearch(problem, { ...quick, evaluator })).rejects.toMatchObject({
      code: 'measurement-failed',
      message: expect.stringContaining('loss of candidate') as string,
    });
  });
});

describe('a tactic of one’s own', () => {
  const proposing = (...genes: readonly (readonly number[])[]): Tactic => ({
    name: 'own',
    settings: {},
    population: 6,
    propose: ({ round }) => ({ candidates: genes.slice(round - 1, round).map((g) => ({ genes: g, origin: 'own' })) }),
  });

  it('is told of genes out of range', async () => {
    await expect(runSearch(problem, { ...quick, tactic: proposing([77, 0]) })).rejects.toMatchObject({
      code: 'invalid-genes',
      message: expect.stringContaining('is 77') as string,
    });
  });

  it('may give typed arrays and genes that are not canonical', async () => {
    const study = newPath();
    const layered: SearchProblem = { ...problem, active: ([a]) => [true, a! > 4] };
    const genes = Float64Array.of(3, 8) as unknown as readonly number[];
    await runSearch(layered, { ...quick, tactic: { ...proposing(genes) }, evaluations: 7, seed: 3, study });
    const { trials } = readStudy(study);
    expect(trials).toHaveLength(7);
    expect(trials.at(-1)).toMatchObject({ genes: [3, 0], key: '3,0' });
  });
});

it('an abort while a round is proposed rejects with the reason', async () => {
  const abort = new AbortController();
  const reason = new Error('enough');
  const running = runSearch(bertSynth(), {
    evaluations: 60,
    population: 20,
    signal: abort.signal,
    onProgress({ phase, round }) {
      if (phase === 'proposing' && round === 1) setTimeout(() => abort.abort(reason), 20);
    },
  });
  await expect(running).rejects.toBe(reason);
});

it('a report that fails ends the run, not only its own lane; what was measured meanwhile is kept', async () => {
  let begun = 0;
  const failing: SearchProblem = {
    ...createProblem(),
    async measure([depth, ...knobs], { split }) {
      if (split === 'search') return { loss: 20 - knobs.slice(0, depth! + 1).reduce((a, b) => a + b, 0) };
      const mine = begun++;
      await sleep(mine === 0 ? 5 : 20);
      if (mine === 0) throw new Error('no data');
      return { loss: 1 };
    },
  };
  const study = newPath();
  const evaluator = inProcess(failing, { concurrency: 2 });
  const running = runSearch(failing, { tactic: 'random', evaluations: 60, reportSplit: 'test', study, evaluator });
  await expect(running).rejects.toMatchObject({ code: 'measurement-failed' });
  expect(readStudy(study).reports).toHaveLength(1);
  await sleep(60);
  expect(begun).toBe(2);
});

it('a pool with another problem costs no trial', async () => {
  const study = newPath();
  const own = createProblem();
  await runSearch(own, { ...quick, evaluations: 6, study });
  const evaluator = workerPool({ module: 'bert-synth', threads: 1 });
  await expect(resume(own, { study, evaluations: 12, evaluator })).rejects.toMatchObject({ code: 'space-mismatch' });
  await evaluator.close();
  expect(readStudy(study).trials.filter(({ status }) => status === 'failed')).toEqual([]);
  const right = workerPool({ module: KNOBS, threads: 1 });
  expect((await resume(own, { study, evaluator: right })).trials).toHaveLength(12);
  await right.close();
});

it('a warm start that has grown since, resumed in another folder, proposes what it would have', async () => {
  const study = newPath();
  const source = newPath();
  const first = bertSynth();
  await runSearch(first, { ...quick, evaluations: 30, population: 15, study: source });
  const folder = process.cwd();
  const options = { tactic: 'linas', evaluations: 20, population: 10, seed: 2 } as const;
  const warmStart = { path: source, trust: ['accuracy'] };
  const whole = await runSearch(first, { ...options, warmStart });
  process.chdir(join(source, '..'));
  try {
    await runSearch(first, { ...options, evaluations: 10, warmStart: { ...warmStart, path: 'study.db' }, study });
  } finally {
    process.chdir(folder);
  }
  await resume(first, { study: source, evaluations: 60 });
  const resumed = await resume(first, { study, evaluations: 20 });
  expect(resumed.trials.map(({ key }) => key)).toEqual(whole.trials.map(({ key }) => key));
});

it('a CSV has a column for every gene of a permutation', () => {
  const header = {
    name: 'p',
    uid: 'u',
    problem: 'p',
    space: [
      { type: 'permutation', length: 3 },
      { type: 'boolean', name: 'b' },
    ],
    objectives: [{ name: 'loss', direction: 'minimize', kind: 'measured' }],
    fingerprint: 'f',
    tactic: 'random',
    settings: {},
    seed: 0,
    createdAt: 0,
  } as const;
  const study = new Study(header);
  study.propose(0, [{ genes: [2, 0, 1, 1], origin: 'random', key: 'k', seed: 1 }]);
  const [columns, row] = studyToCsv(study).split('\r\n') as [string, string];
  expect(columns).toContain('loss,x0.0,x0.1,x0.2,b,seed');
  expect(row).toContain(',,2,0,1,true,1,');
});

it('a CSV has names and values as a person gave them, and nothing that a spreadsheet would compute', () => {
  const header: StudyHeader = {
    name: 's',
    uid: 'u',
    problem: 'p',
    space: [
      { type: 'categorical', name: 'seed', values: ['=1+1', 'two, three'] },
      { type: 'integer', name: '=cmd', lower: -3, upper: 3 },
      { type: 'integer', lower: 0, upper: 3 },
    ],
    objectives: [{ name: 'loss', direction: 'minimize', kind: 'measured' }],
    fingerprint: 'f',
    tactic: 'random',
    settings: {},
    seed: 0,
    createdAt: 0,
  };
  const study = new Study(header);
  study.propose(0, [
    { genes: [0, -3, 1], origin: '@x', key: 'k', seed: 1 },
    { genes: [1, 2, 0], origin: '-x', key: 'l', seed: 2 },
  ]);
  study.fail(0, '+HYPERLINK("x")', 1);
  const [columns, first, second] = studyToCsv(study).split('\r\n');
  expect(columns).toBe(
    "number,round,origin,status,loss,seed (2),'=cmd,x2,seed,attempts,host,worker,started_at,duration_ms,error",
  );
  expect(first).toMatch(/^0,0,'@x,failed,,'=1\+1,-3,1,1,1,,,,,"'\+HYPERLINK\(""x""\)"$/);
  expect(second).toBe('1,0,\'-x,pending,,"two, three",2,0,2,0,,,,,');
});
