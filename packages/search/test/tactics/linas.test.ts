import { bertSynth as exact, hypervolume } from '@instatune/nsga2';
import { sharedPath } from '@hip/testing';
import { describe, expect, it } from 'vitest';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { runSearch } from '../../src/run/run-search.ts';
import type { SearchResult } from '../../src/run/progress.ts';
import { ofaProblem, readOfa } from '../fixtures/ofa.ts';

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

// Ten seeds are in benchmarks/results/linas.json; here three, one of them further.
describe('LINAS on BERT-synth, as a share of the exact hypervolume', () => {
  const synth = exact();
  const whole = hypervolume(synth.front(), [...synth.reference]);
  const runs: SearchResult[] = [];
  const at = (count: number) =>
    runs.filter(({ history }) => history.length >= count).map(({ history }) => history[count - 1]!.hypervolume / whole);

  it('reaches what the specification asks', async () => {
    for (const [seed, evaluations] of [
      [0, 250],
      [1, 150],
      [2, 150],
    ] as const) {
      runs.push(await runSearch(bertSynth(), { tactic: 'linas', evaluations, seed }));
    }
    expect(median(at(50))).toBeGreaterThanOrEqual(0.95);
    expect(median(at(100))).toBeGreaterThanOrEqual(0.98);
    expect(median(at(150))).toBeGreaterThanOrEqual(0.988);
    expect(median(at(250))).toBeGreaterThanOrEqual(0.991);
  });

  it('and NSGA-II on the same measurements does not', async () => {
    const direct = await Promise.all(
      [0, 1, 2].map((seed) => runSearch(bertSynth(), { tactic: 'nsga2', evaluations: 250, seed })),
    );
    expect(median(direct.map((result) => result.hypervolume / whole))).toBeGreaterThan(0.92);
    expect(Math.max(...direct.map((result) => result.hypervolume / whole))).toBeLessThan(Math.min(...at(250)));
  });

  it('rounds are 20 at first, then a tenth of what is measured, 5 to 50', () => {
    const { trials } = runs[0]!;
    const sizes = [...new Set(trials.map(({ round }) => round))].map(
      (round) => trials.filter((trial) => trial.round === round).length,
    );
    expect(sizes.slice(0, 9)).toEqual([20, 5, 5, 5, 5, 5, 5, 5, 6]);
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(20);
  });

  it('predictor and inner search of every round are in the study', () => {
    for (const { round, info } of runs[0]!.study.rounds.slice(1)) {
      expect(round).toBeGreaterThan(0);
      expect(info).toMatchObject({ predictors: { accuracy: { kind: 'gaussian-process' } } });
      expect(info['inner']).toBeGreaterThan(5000);
    }
  });
});

const folder = sharedPath('data', 'nas', 'dynas-t');
describe.skipIf(!folder)(
  `measured OFA-MobileNetV3 sub-networks${folder ? '' : ' (skipped: no ../shared/data/nas)'}`,
  () => {
    it('LINAS after 100 measurements is ahead of NSGA-II after 400', async () => {
      const rows = readOfa(folder!);
      expect(rows.length).toBeGreaterThan(2000);
      const problem = ofaProblem(rows);
      const [linas, nsga2, random] = [[], [], []] as number[][];
      for (const seed of [0, 1, 2]) {
        linas!.push((await runSearch(problem, { tactic: 'linas', evaluations: 100, seed })).hypervolume);
        nsga2!.push((await runSearch(problem, { tactic: 'nsga2', evaluations: 400, seed })).hypervolume);
        random!.push((await runSearch(problem, { tactic: 'random', evaluations: 400, seed })).hypervolume);
      }
      expect(median(linas!)).toBeGreaterThanOrEqual(median(nsga2!));
      expect(median(nsga2!)).toBeGreaterThan(median(random!));
    });
  },
);
