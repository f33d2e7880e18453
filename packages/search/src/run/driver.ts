// The loop under every tactic: propose a round, measure what is pending, repeat until the budget is spent. Resuming is running it again.
import { SearchError, messageOf } from '../errors.ts';
import type { EvaluationJob, Evaluator } from '../evaluate/evaluator.ts';
import { isDone } from '../study/trial.ts';
import type { Study } from '../study/study.ts';
import type { Trial } from '../study/trial.ts';
import type { Space } from '../space.ts';
import { roundRandom, trialSeed } from '../seeds.ts';
import type { Tactic } from '../tactics/tactic.ts';
import type { WarmStart } from '../warm-start.ts';
import { initialRound } from '../tactics/initial.ts';
import type { ConstraintSet } from './constraint-set.ts';

export interface DriverOptions {
  readonly space: Space;
  readonly study: Study;
  readonly tactic: Tactic;
  readonly evaluator: Evaluator;
  readonly budget: number;
  readonly constraints: ConstraintSet;
  readonly warm: WarmStart | undefined;
  readonly signal: AbortSignal | undefined;
  onProposing(round: number): void;
  onTrial(trial: Trial): void;
}

/** Runs a study up to its budget. Trials of a round may finish in any order; proposals see only whole rounds, in order. */
export async function drive(options: DriverOptions): Promise<void> {
  const { study, budget, signal } = options;
  const last = study.trials.at(-1);
  for (let round = last?.round ?? 0; ; round++) {
    signal?.throwIfAborted();
    if (!study.trials.some((trial) => trial.round === round)) {
      if (study.trials.length >= budget) return;
      options.onProposing(round);
      if (!(await proposeRound(options, round))) return;
    }
    await measurePending(options);
    if (round === 0) checkFirstRound(options);
  }
}

async function proposeRound(
  { space, study, tactic, budget, constraints, warm, signal }: DriverOptions,
  round: number,
): Promise<boolean> {
  const start = performance.now();
  const context = {
    space,
    round,
    limit: Math.min(tactic.population, budget - study.trials.length),
    trials: study.trials,
    bounds: constraints.bounds(study.trials),
    random: roundRandom(study.header.seed, round),
    seed: study.header.seed,
    warm,
    signal,
  };
  const proposal = round === 0 ? initialRound(context, tactic) : await tactic.propose(context);
  signal?.throwIfAborted();
  const candidates = proposal.candidates.slice(0, context.limit);
  if (candidates.length === 0) return false;
  study.propose(
    round,
    candidates.map(({ genes, origin }, index) => ({
      genes,
      origin,
      key: space.key(genes),
      seed: trialSeed(study.header.seed, study.trials.length + index),
    })),
    { ...proposal.info, proposed: candidates.length, seconds: (performance.now() - start) / 1000 },
  );
  return true;
}

/** Measures all pending trials, `evaluator.concurrency` at a time. */
async function measurePending(options: DriverOptions): Promise<void> {
  const { space, study, evaluator, signal } = options;
  const queue = study.trials.filter((trial) => !isDone(trial)).map(({ number }) => number);
  // The first failure of the evaluator itself, or an abort, stops the other lanes too.
  const stop = new AbortController();
  const combined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const lane = async () => {
    for (let number = queue.shift(); number !== undefined && !combined.aborted; number = queue.shift()) {
      const trial = study.trials[number]!;
      const job: EvaluationJob = {
        study: study.header.uid,
        number,
        genes: trial.genes,
        seed: trial.seed,
        split: 'search',
        fingerprint: study.header.fingerprint,
      };
      try {
        const result = await evaluator.evaluate(job, {
          signal: combined,
          onStart: () => study.start(number, Date.now()),
        });
        if (result.status === 'complete') {
          const { status: _, ...outcome } = result;
          options.onTrial(study.complete(number, { ...outcome, values: space.complete(trial.genes, result.values) }));
        } else {
          options.onTrial(study.fail(number, result.error, result.attempts, result));
        }
      } catch (error) {
        if (study.trials[number]!.status === 'running') study.release(number);
        stop.abort(error);
        throw error;
      }
    }
  };
  const lanes = Array.from({ length: Math.max(1, Math.min(evaluator.concurrency, queue.length)) }, lane);
  const ended = await Promise.allSettled(lanes);
  signal?.throwIfAborted();
  const rejected = ended.find((end) => end.status === 'rejected');
  if (rejected) throw rejected.reason;
}

function checkFirstRound({ study, constraints }: DriverOptions): void {
  const first = study.trials.filter((trial) => trial.round === 0);
  if (first.every((trial) => trial.status === 'failed')) {
    throw new SearchError(
      'measurement-failed',
      `all ${first.length} trials of the first round failed, the first with: ${first[0]?.error ?? ''}. Mend the problem, then start a new study`,
      {
        errors: first.map(({ error }) => error),
      },
    );
  }
  try {
    constraints.check(study.trials);
  } catch (error) {
    throw error instanceof SearchError ? error : new SearchError('bad-constraint', messageOf(error));
  }
}
