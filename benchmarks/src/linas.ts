// LINAS against NSGA-II and random search: share of BERT-synth's exact hypervolume, and Intel's measured OFA sub-networks as an outside check.
import { bertSynth as exact, hypervolume } from '@instatune/nsga2';
import { bertSynth, runSearch, type SearchProblem, type TacticName } from '@instatune/search';
import { sharedPath } from '@hip/testing';
import { ofaProblem, readOfa } from '../../packages/search/test/fixtures/ofa.ts';
import { median, type Benchmark } from './benchmark.ts';

const COUNTS = [50, 100, 150, 200, 250, 500];

interface Series {
  readonly tactic: TacticName;
  readonly evaluations: number;
}

/** Median over seeds of the hypervolume after so many measurements, as a share of `whole`. */
async function row(
  problem: SearchProblem,
  { tactic, evaluations }: Series,
  seeds: number,
  whole: number,
  signal: AbortSignal,
) {
  const histories: (readonly number[])[] = [];
  const seconds: number[] = [];
  for (let seed = 0; seed < seeds; seed++) {
    const start = performance.now();
    const { history } = await runSearch(problem, { tactic, evaluations, seed, signal });
    seconds.push((performance.now() - start) / 1000);
    histories.push(history.map((point) => point.hypervolume));
  }
  const at = (count: number) => median(histories.map((history) => history[count - 1]! / whole));
  const least = (count: number) => Math.min(...histories.map((history) => history[count - 1]! / whole));
  const round = (value: number) => Number(value.toFixed(4));
  const counts = COUNTS.filter((count) => count <= evaluations);
  if (!counts.includes(evaluations)) counts.push(evaluations);
  return {
    tactic,
    seeds,
    ...Object.fromEntries(counts.map((count) => [`at${count}`, round(at(count))])),
    worstSeed: round(least(evaluations)),
    secondsPerRun: Number(median(seconds).toFixed(2)),
  };
}

export const benchmark: Benchmark = {
  name: 'linas',
  description: 'LINAS, NSGA-II and random search: hypervolume after so many measurements',
  async run({ quick, log, signal }) {
    const seeds = quick ? 3 : 10;
    const rows: Record<string, unknown>[] = [];
    const synth = exact();
    const whole = hypervolume(synth.front(), [...synth.reference]);
    for (const tactic of ['linas', 'nsga2', 'random'] as const) {
      log(`BERT-synth, ${tactic}`);
      rows.push({
        problem: 'BERT-synth',
        of: 'exact hypervolume',
        ...(await row(bertSynth(), { tactic, evaluations: quick ? 250 : 500 }, seeds, whole, signal)),
      });
    }
    const folder = sharedPath('data', 'nas', 'dynas-t');
    if (!folder) {
      log('no ../shared/data/nas/dynas-t: the outside check is left out');
      return { rows };
    }
    log('OFA-MobileNetV3: interpolating 2,223 measured rows');
    const problem = ofaProblem(readOfa(folder));
    const reference = await runSearch(problem, {
      tactic: 'nsga2',
      evaluations: 20_000,
      population: 100,
      seed: 99,
      signal,
    });
    for (const series of [
      { tactic: 'linas', evaluations: 100 },
      { tactic: 'nsga2', evaluations: 400 },
      { tactic: 'random', evaluations: 400 },
    ] as const) {
      log(`OFA-MobileNetV3, ${series.tactic}`);
      rows.push({
        problem: 'OFA-MobileNetV3 (measured rows, interpolated)',
        of: 'NSGA-II after 20,000',
        ...(await row(problem, series, quick ? 3 : seeds, reference.hypervolume, signal)),
      });
    }
    return { rows };
  },
};
