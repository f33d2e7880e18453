// How busy lanes are where trials take log-normal times: rounds, which wait for their slowest trial, against asynchronous proposals.
import { Random } from '@instatune/nsga2';
import {
  bertSynth,
  inProcess,
  runSearch,
  type Proposals,
  type SearchProblem,
  type TacticName,
} from '@instatune/search';
import type { Benchmark } from './benchmark.ts';

/** Deviation of the logarithm of a trial's time. */
const SIGMA = 0.8;

/** How long a trial of a seed takes. */
const durationOf = (seed: number, median: number): number => median * Math.exp(SIGMA * new Random(seed).normal());

/** BERT-synth, whose measurements wait: `median` milliseconds in the middle, the same for a trial's seed. */
function waiting(median: number): SearchProblem {
  const problem = bertSynth();
  return {
    ...problem,
    async measure(genes, context) {
      await new Promise((resolve) => setTimeout(resolve, durationOf(context.seed, median)));
      const values: Record<string, number> = {};
      for (const objective of problem.objectives)
        if (objective.kind === 'measured') values[objective.name] = await objective.evaluate!(genes, context);
      return values;
    },
    objectives: problem.objectives.map((objective) => {
      if (objective.kind === 'exact') return objective;
      const { name, kind, direction = 'minimize' } = objective;
      return { name, kind, direction };
    }),
  };
}

/** Trials of a tenth of a second to two. */
const SIZES = [
  { evaluations: 800, median: 400 },
  { evaluations: 800, median: 100 },
  { evaluations: 320, median: 2000 },
];

interface Setting {
  readonly tactic: TacticName;
  readonly proposals: Proposals;
  readonly lanes: number;
  readonly evaluations: number;
  readonly median: number;
  readonly signal: AbortSignal;
}

async function row({ tactic, proposals, lanes, evaluations, median, signal }: Setting) {
  const problem = waiting(median);
  const evaluator = inProcess(problem, { concurrency: lanes });
  const start = performance.now();
  const { trials, hypervolume, study } = await runSearch(problem, {
    tactic,
    proposals,
    evaluations,
    seed: 1,
    evaluator,
    signal,
  });
  const wall = performance.now() - start;
  // What they were to take: a thread that is busy proposing hears of their end later, and that is no work.
  const worked = trials.reduce((sum, trial) => sum + durationOf(trial.seed, median), 0);
  const seconds = study.rounds.map(({ info }) => Number(info['seconds']));
  return {
    tactic,
    proposals,
    lanes,
    evaluations,
    medianMs: median,
    busy: Number((worked / (wall * lanes)).toFixed(3)),
    seconds: Number((wall / 1000).toFixed(1)),
    proposing: seconds.length,
    proposingSeconds: Number(seconds.reduce((a, b) => a + b, 0).toFixed(1)),
    hypervolume: Number(hypervolume.toFixed(2)),
  };
}

export const benchmark: Benchmark = {
  name: 'search-lanes',
  description: 'share of time that 16 lanes measure, with log-normal trial times, in rounds and asynchronously',
  async run({ quick, log, signal }) {
    const rows: Record<string, unknown>[] = [];
    for (const tactic of ['linas', 'nsga2', 'random'] as const) {
      for (const proposals of ['rounds', 'asynchronous'] as const) {
        const sizes = quick ? [{ evaluations: 160, median: 100 }] : SIZES;
        for (const size of proposals === 'rounds' ? sizes.slice(0, 1) : sizes) {
          log(`${tactic}, ${proposals}, ${size.median} ms`);
          rows.push(await row({ tactic, proposals, lanes: 16, ...size, signal }));
        }
      }
    }
    return { rows, environment: { sigma: SIGMA } };
  },
};
