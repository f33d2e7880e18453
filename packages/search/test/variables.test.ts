// Log scales, steps, ordinals and conditions in a search: proposals, features, files, tables, views.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boolean, categorical, integer, ordinal, permutation, Random, real, type Variable } from '@instatune/nsga2';
import { featuresOf, resume, runSearch, Space, studyToCsv, type SearchProblem } from '../src/index.ts';
import { readMeasurements } from '../src/node.ts';
import { renderReport, toStudyView } from '../src/report.ts';

const variables: Variable[] = [
  categorical(['sgd', 'adam'], 'optimizer'),
  real(1e-5, 1e-1, { name: 'rate', scale: 'log' }),
  real(0, 1, { name: 'dropout', step: 0.1 }),
  integer(64, 512, { name: 'width', step: 64 }),
  integer(1, 1000, { name: 'patience', scale: 'log' }),
  ordinal(['small', 'base', 'large'], 'size'),
  real(0, 0.99, { name: 'momentum', when: { variable: 'optimizer', in: ['sgd'] } }),
  boolean({ name: 'nesterov', when: { variable: 'optimizer', in: ['sgd'] } }),
  integer(1, 9, { name: 'warm', when: { variable: 'nesterov', in: [true] } }),
  permutation(3, { name: 'order', when: { variable: 'size', in: ['large'] } }),
];

const problem: SearchProblem = {
  name: 'training',
  space: variables,
  objectives: [
    {
      name: 'loss',
      kind: 'measured',
      evaluate: ([optimizer, rate, dropout, , , size, momentum]) =>
        Math.log10(rate! / 1e-3) ** 2 +
        (dropout! - 0.3) ** 2 +
        (optimizer === 0 ? (momentum! - 0.9) ** 2 : 0.3) -
        size!,
    },
    {
      name: 'cost',
      kind: 'exact',
      evaluate: ([, , , width, patience, size]) => width! / 64 + patience! / 1000 + size!,
    },
  ],
};

const space = new Space(problem);
const candidate = fc.nat().map((seed) => space.sample(new Random(seed)));

describe('a space of them', () => {
  it('samples candidates that are in it, whose unused genes are first and say nothing to a predictor', () => {
    fc.assert(
      fc.property(candidate, fc.nat(), (genes, seed) => {
        space.check(genes);
        expect(space.canonical(genes)).toEqual(genes);
        const active = space.active(genes);
        const other = space.sample(new Random(seed));
        const mixed = genes.map((gene, i) => (active[i] || i >= 9 ? gene : other[i]!));
        // What is unused may be anything: it is the same candidate, with the same features.
        expect(space.canonical(mixed)).toEqual(genes);
        expect(featuresOf(space, space.canonical(mixed))).toEqual(featuresOf(space, genes));
        expect([...featuresOf(space, genes)].every((x) => x >= 0 && x <= 1)).toBe(true);
        // Only sgd has a momentum and may be Nesterov's.
        const sgd = genes[0] === 0;
        expect(active.slice(6, 9)).toEqual([sgd, sgd, sgd && genes[7] === 1]);
      }),
    );
  });

  it('a decade is as far as the next for a predictor, and an ordinal’s neighbours are near', () => {
    const base = space.canonical([1, 1e-4, 0.5, 256, 10, 1, 0, 0, 1, 0, 1, 2]);
    const distance = (i: number, a: number, b: number) => {
      const at = (value: number) =>
        featuresOf(
          space,
          base.map((gene, k) => (k === i ? value : gene)),
        );
      const [x, y] = [at(a), at(b)];
      return Math.hypot(...x.map((value, k) => value - y[k]!));
    };
    expect(distance(1, 1e-4, 1e-3)).toBeCloseTo(distance(1, 1e-3, 1e-2), 9);
    expect(distance(5, 0, 1)).toBeLessThan(distance(5, 0, 2));
    expect(distance(3, 64, 128)).toBeLessThan(distance(3, 64, 512));
  });

  it('refuses a value between two steps with the nearest one', () => {
    const genes = [1, 1e-4, 0.33, 256, 10, 1, 0, 0, 1, 0, 1, 2];
    expect(() => space.check(genes)).toThrow('gene 2 (dropout) is 0.33, between two steps: use 0.3');
    expect(space.canonical([1, 1e-4, 0.1 + 0.2, 256, 10, 1, 0, 0, 1, 0, 1, 2])[2]).toBe(0.3);
  });
});

describe.each(['linas', 'nsga2', 'random'] as const)('a search by %s', (tactic) => {
  it('measures nothing twice, and goes on from its file as if it had never stopped', async () => {
    const options = { tactic, evaluations: 60, population: 20, seed: 4 };
    const whole = await runSearch(problem, options);
    expect(new Set(whole.trials.map(({ key }) => key)).size).toBe(60);
    for (const { genes } of whole.trials) expect(space.canonical(genes)).toEqual(genes);
    const study = join(mkdtempSync(join(tmpdir(), 'variables-')), 'study.db');
    const abort = new AbortController();
    await runSearch(problem, {
      ...options,
      study,
      signal: abort.signal,
      onProgress: ({ evaluations }) => evaluations >= 35 && abort.abort(),
    }).catch(() => undefined);
    const resumed = await resume(problem, { study });
    expect(resumed.trials.map(({ key }) => key)).toEqual(whole.trials.map(({ key }) => key));
  });
});

describe('what a person reads', async () => {
  const result = await runSearch(problem, { tactic: 'random', evaluations: 40, population: 20, seed: 1 });

  it('a table has values by name, nothing where a variable has no effect, and is read back as it was', async () => {
    const csv = studyToCsv(result.study);
    const rows = parse(csv, { columns: true }) as Record<string, string>[];
    expect(new Set(rows.map(({ size }) => size))).toEqual(new Set(['small', 'base', 'large']));
    for (const row of rows) {
      expect(row['momentum'] === '').toBe(row['optimizer'] === 'adam');
      expect(row['warm'] === '').toBe(row['nesterov'] !== 'true');
      expect(row['order.0'] === '').toBe(row['size'] !== 'large');
    }
    const path = join(mkdtempSync(join(tmpdir(), 'table-')), 'known.csv');
    writeFileSync(path, csv);
    const measurements = await readMeasurements(path);
    const known = await runSearch(problem, { tactic: 'random', evaluations: 1, population: 2, seed: 9, measurements });
    expect(known.trials.slice(0, 40).map(({ key }) => key)).toEqual(result.trials.map(({ key }) => key));
  });

  it('the report and the view leave out what has no effect', () => {
    const view = toStudyView(result.study);
    expect(view.variables.find(({ name }) => name === 'rate')).toMatchObject({ scale: 'log', bounds: [1e-5, 1e-1] });
    for (const { values } of view.trials) expect('momentum' in values).toBe(values['optimizer'] === 'sgd');
    const html = renderReport(result);
    expect(html).toMatch(/optimizer (sgd|adam), rate /);
    expect(html).not.toMatch(/optimizer adam,[^<]*momentum/);
  });
});

it('candidates are given by values; those of variables that have no effect may be left out', async () => {
  const given = { optimizer: 'adam', rate: 0.001, dropout: 0.3, width: 128, patience: 10, size: 'base' };
  const { trials } = await runSearch(problem, { tactic: 'random', evaluations: 4, population: 2, candidates: [given] });
  expect(trials[0]!.genes.slice(0, 6)).toEqual([1, 0.001, 0.3, 128, 10, 1]);
  const wrong = { ...given, optimizer: 'sgd' };
  await expect(runSearch(problem, { evaluations: 4, population: 2, candidates: [wrong] })).rejects.toThrow(
    /has no momentum/,
  );
});
