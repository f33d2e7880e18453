import { paretoFront } from '@instatune/nsga2';
import { describe, expect, it } from 'vitest';
import type { SearchProblem } from '../../src/problem.ts';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import type { SearchProgress } from '../../src/run/progress.ts';
import { SearchError } from '../../src/errors.ts';
import { createProblem } from '../fixtures/knobs.ts';

const quick = { tactic: { name: 'linas', innerEvaluations: 2000 }, population: 12 } as const;

describe('a search', () => {
  it('returns the true non-dominated set of what was measured, in its own units and directions', async () => {
    const { front, trials } = await runSearch(bertSynth(), { ...quick, evaluations: 40, seed: 1 });
    const points = trials.map(({ values }) => [values!['macs']!, -values!['accuracy']!]);
    expect(new Set(front.map(({ number }) => number))).toEqual(new Set(paretoFront(points)));
    for (const { values } of front) expect(values['accuracy']).toBeGreaterThan(0);
    expect(front.map(({ values }) => values['macs'])).toEqual(
      front.map(({ values }) => values['macs']).toSorted((a, b) => a! - b!),
    );
  });

  it('measures the baseline first, the last batch too, and counts every trial', async () => {
    const problem = bertSynth();
    const seen: SearchProgress[] = [];
    const { trials, history, baseline } = await runSearch(problem, {
      ...quick,
      evaluations: 31,
      seed: 1,
      onProgress: (p) => seen.push(p),
    });
    expect(trials).toHaveLength(31);
    expect(trials[0]).toMatchObject({ origin: 'baseline', genes: problem.baseline });
    expect(baseline!['macs']).toBeCloseTo(11.174217216, 9);
    expect(trials.map(({ round }) => round).filter((round) => round === 2)).toHaveLength(7);
    expect(history).toHaveLength(31);
    history
      .slice(1)
      .forEach(({ hypervolume }, i) => expect(hypervolume).toBeGreaterThanOrEqual(history[i]!.hypervolume));
    const measuring = seen.filter(({ phase }) => phase === 'measuring');
    expect(measuring.map(({ evaluations }) => evaluations)).toEqual(Array.from({ length: 31 }, (_, i) => i + 1));
    expect(measuring.at(-1)).toMatchObject({ budget: 31, etaMs: 0, hypervolume: history.at(-1)!.hypervolume });
  });

  it('an objective order in the problem is the order everywhere', async () => {
    const problem = bertSynth();
    const flipped: SearchProblem = { ...problem, objectives: problem.objectives.toReversed() };
    const { header, front, hypervolume } = await runSearch(flipped, { ...quick, evaluations: 24, seed: 3 });
    expect(header.objectives.map(({ name }) => name)).toEqual(['accuracy', 'macs']);
    expect(Object.keys(front[0]!.values)).toEqual(['accuracy', 'macs']);
    expect(hypervolume).toBeGreaterThan(200);
  });

  it('a failing trial is recorded and searched around', async () => {
    const { trials, front } = await runSearch(createProblem({ on: 2, how: 'throw' }), {
      ...quick,
      evaluations: 40,
      seed: 1,
    });
    const failed = trials.filter(({ status }) => status === 'failed');
    expect(failed.length).toBeGreaterThan(0);
    for (const { error, genes } of failed) {
      expect(error).toBe('the measurement threw');
      expect(genes[0]).toBe(2);
    }
    for (const { genes } of front) expect(genes[0]).not.toBe(2);
  });

  it('stops when the space is exhausted', async () => {
    const tiny: SearchProblem = {
      name: 'tiny',
      space: [{ type: 'integer', lower: 0, upper: 3 }, { type: 'boolean' }],
      objectives: [
        { name: 'a', kind: 'measured', evaluate: ([x, y]) => x! + y! },
        { name: 'b', kind: 'exact', evaluate: ([x, y]) => 3 - x! + y! },
      ],
    };
    for (const tactic of ['random', 'linas', 'nsga2'] as const) {
      const { trials, front } = await runSearch(tiny, { tactic, population: 5, evaluations: 50 });
      expect(trials).toHaveLength(8);
      expect(front.map(({ genes }) => genes)).toEqual([
        [0, 0],
        [1, 0],
        [2, 0],
        [3, 0],
      ]);
    }
    expect(
      (await runSearch(tiny, { tactic: 'successive', population: 5, evaluations: 50 })).trials.length,
    ).toBeLessThanOrEqual(8);
  });

  it('mixed variables: real, categorical, boolean, permutation', async () => {
    const problem: SearchProblem = {
      name: 'mixed',
      space: [
        { type: 'real', lower: -1, upper: 1 },
        { type: 'categorical', values: ['a', 'b', 'c'] },
        { type: 'boolean' },
        { type: 'permutation', length: 4 },
      ],
      objectives: [
        {
          name: 'x',
          kind: 'measured',
          evaluate: ([r, c, b, ...p]) => (r! - 0.3) ** 2 + (c === 1 ? 0 : 1) + (b ? 0.5 : 0) + (p[0] === 2 ? 0 : 0.7),
        },
        { name: 'y', kind: 'exact', evaluate: ([r, , b]) => r! + (b ? 0 : 1) },
      ],
    };
    const direct = await runSearch(problem, { tactic: 'nsga2', population: 12, evaluations: 120, seed: 1 });
    const { front, trials, hypervolume } = await runSearch(problem, { ...quick, evaluations: 120, seed: 1 });
    for (const { genes } of trials) expect(genes.slice(3).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
    expect(Math.min(...front.map(({ values }) => values['x']!))).toBeLessThan(0.2);
    expect(hypervolume).toBeGreaterThan(0.9 * direct.hypervolume);
  });
});

describe('constraints', () => {
  it('measured and relative: the front is inside, the baseline is the measure', async () => {
    const { front, bounds, baseline } = await runSearch(bertSynth(), {
      ...quick,
      evaluations: 60,
      seed: 2,
      constraints: ['accuracy >= baseline - 5%', 'macs <= 0.8x'],
    });
    expect(bounds.map(({ bound }) => bound)).toEqual([
      expect.closeTo(0.95 * baseline!['accuracy']!, 9),
      expect.closeTo(0.8 * baseline!['macs']!, 9),
    ]);
    expect(front.length).toBeGreaterThan(0);
    for (const { values } of front) {
      expect(values['accuracy']).toBeGreaterThanOrEqual(bounds[0]!.bound);
      expect(values['macs']).toBeLessThanOrEqual(bounds[1]!.bound);
    }
  });

  it('successive meets a target with fewer measurements than a front search', async () => {
    const best = async (tactic: 'successive' | 'random' | 'nsga2', evaluations: number) => {
      const found: number[] = [];
      for (const seed of [0, 1, 2]) {
        const { front } = await runSearch(bertSynth(), {
          tactic: { name: tactic },
          population: 16,
          evaluations,
          seed,
          constraints: ['macs <= 0.55x'],
        });
        found.push(Math.max(...front.map(({ values }) => values['accuracy']!)));
      }
      return found.sort((a, b) => a - b)[1]!;
    };
    const successive = await best('successive', 96);
    expect(successive).toBeGreaterThan(89.4); // 89.528 is the optimum
    expect(successive).toBeGreaterThan(await best('nsga2', 192));
    expect(successive).toBeGreaterThan(await best('random', 960));
  });

  it('that exclude everything say so', async () => {
    await expect(runSearch(bertSynth(), { evaluations: 10, constraints: ['macs <= 1'] })).rejects.toMatchObject({
      code: 'no-feasible-candidate',
    });
    await expect(
      runSearch({ ...createProblem() }, { evaluations: 10, constraints: ['cost <= 0'] }),
    ).rejects.toMatchObject({ code: 'no-feasible-candidate' });
  });
});

describe('a split for the search apart from the reported one', () => {
  it('measures front and baseline again, never chooses by it', async () => {
    const splits: string[] = [];
    const problem = createProblem();
    const spying: SearchProblem = {
      ...problem,
      baseline: [4, 4, 4, 4, 4, 4],
      measure(genes, context) {
        splits.push(`${context.number} ${context.split}`);
        return problem.measure!(genes, context);
      },
    };
    const plain = await runSearch({ ...problem, baseline: [4, 4, 4, 4, 4, 4] }, { ...quick, evaluations: 30, seed: 7 });
    const { front, reports } = await runSearch(spying, { ...quick, evaluations: 30, seed: 7, reportSplit: 'test' });
    expect(front.map(({ number }) => number)).toEqual(plain.front.map(({ number }) => number));
    const expected = new Set([...front.map(({ number }) => number), 0]);
    expect(new Set(splits.filter((s) => s.endsWith(' test')).map((s) => Number(s.split(' ')[0])))).toEqual(expected);
    expect(reports.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual(
      [...expected].toSorted((a, b) => a - b),
    );
    for (const point of front) {
      expect(point.report!['cost']).toBe(point.values['cost']);
      expect(point.report!['loss']).not.toBe(point.values['loss']);
    }
  });
});

describe('warm start', () => {
  it('takes the best of another study first, measures it here, and gets further with few measurements', async () => {
    const problem = bertSynth();
    const source = await runSearch(problem, { ...quick, evaluations: 100, seed: 1 });
    const elsewhere: SearchProblem = {
      ...problem,
      name: 'bert-synth on another device',
      objectives: [
        problem.objectives[0]!,
        {
          ...problem.objectives[1]!,
          kind: 'measured',
          evaluate: async (genes, context) => 0.9 * Number(await problem.objectives[1]!.evaluate!(genes, context)),
        },
      ],
    };
    const warm = await runSearch(elsewhere, { ...quick, evaluations: 24, seed: 2, warmStart: { study: source.study } });
    const cold = await runSearch(elsewhere, { ...quick, evaluations: 24, seed: 2 });
    expect(warm.trials.filter(({ origin }) => origin === 'warm')).toHaveLength(6);
    for (const { genes, values } of warm.trials.filter(({ origin }) => origin === 'warm')) {
      expect(source.trials.find((t) => t.genes.join() === genes.join())!.values!['accuracy']! * 0.9).toBeCloseTo(
        values!['accuracy']!,
        9,
      );
    }
    expect(warm.hypervolume).toBeGreaterThan(1.01 * cold.hypervolume);
  });

  it('a study of other genes, or trust in what is not measured, is refused', async () => {
    const other = await runSearch(createProblem(), { tactic: 'random', evaluations: 5 });
    await expect(runSearch(bertSynth(), { evaluations: 5, warmStart: { study: other.study } })).rejects.toMatchObject({
      code: 'space-mismatch',
    });
    await expect(
      runSearch(createProblem(), { evaluations: 5, warmStart: { study: other.study, trust: ['cost'] } }),
    ).rejects.toMatchObject({ code: 'invalid-option' });
  });
});

describe('bad input', () => {
  const problem = createProblem();
  it.each([
    [{ evaluations: 0 }, 'invalid-option', 'evaluations'],
    [{ evaluations: 2.5 }, 'invalid-option', 'evaluations'],
    [{ evaluations: 5, population: 1 }, 'invalid-option', 'population'],
    [{ evaluations: 5, seed: NaN }, 'invalid-option', 'seed'],
    [{ evaluations: 5, tactic: 'genetic' as 'linas' }, 'invalid-option', 'genetic'],
    [{ evaluations: 5, tactic: { name: 'linas' as const, predictr: 'x' } }, 'invalid-option', 'predictr'],
    [{ evaluations: 5, constraints: ['speed < 3'] }, 'bad-constraint', 'speed'],
    [{ evaluations: 5, constraints: ['loss <= 0.5x'] }, 'no-baseline', 'baseline'],
  ])('%j', async (options, code, message) => {
    await expect(runSearch(problem, options)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it('a problem whose first round fails altogether', async () => {
    await expect(runSearch({ ...problem, measure: () => ({ loss: NaN }) }, { evaluations: 8 })).rejects.toMatchObject({
      code: 'measurement-failed',
      message: expect.stringContaining('loss is NaN') as string,
    });
  });

  it('resuming with another problem', async () => {
    const { study } = await runSearch(problem, { tactic: 'random', evaluations: 3 });
    const error = await resume(bertSynth(), { study }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(SearchError);
    expect(error).toMatchObject({ code: 'space-mismatch' });
  });
});
