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

/** BERT-synth, whose measurements wait: `median` milliseconds in the middle, the same for a trial's seed. */
function waiting(median: number): SearchProblem {
  const problem = bertSynth();
  return {
    ...problem,
    async measure(genes, context) {
      const ms = median * Math.exp(SIGMA * new Random(context.seed).normal());
      await new Promise((resolve) => setTimeout(resolve, ms));
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
  const worked = trials.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0);
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
        log(`${tactic}, ${proposals}`);
        const size = quick ? { evaluations: 160, median: 100 } : { evaluations: 800, median: 400 };
        rows.push(await row({ tactic, proposals, lanes: 16, ...size, signal }));
      }
    }
    return { rows, environment: { sigma: SIGMA } };
  },
};
