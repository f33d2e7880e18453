// The loop under every tactic: propose a round, measure what is pending, repeat until the budget is spent. Resuming is running it again.
import { SearchError, messageOf } from '../errors.ts';
import type { EvaluationJob, Evaluator } from '../evaluate/evaluator.ts';
import { isDone } from '../study/trial.ts';
import type { Study } from '../study/study.ts';
import type { Trial } from '../study/trial.ts';
import type { Space } from '../space.ts';
import { roundRandom, trialSeed } from '../seeds.ts';
import type { Proposal, ProposeContext, Tactic } from '../tactics/tactic.ts';
import type { WarmStart } from '../warm-start.ts';
import { initialRound } from '../tactics/initial.ts';
import type { ConstraintSet } from './constraint-set.ts';
import { inLanes } from './lanes.ts';

export interface DriverOptions {
  readonly space: Space;
  readonly study: Study;
  readonly tactic: Tactic;
  readonly evaluator: Evaluator;
  readonly budget: number;
  readonly constraints: ConstraintSet;
  readonly warm: WarmStart | undefined;
  /** How often a trial is measured again during which this process died. */
  readonly retries: number;
  readonly signal: AbortSignal | undefined;
  onProposing(round: number): void;
  onTrial(trial: Trial): void;
}

/** Runs a study up to its budget. Trials of a round may finish in any order; proposals see only whole rounds, in order. */
export async function drive(options: DriverOptions): Promise<void> {
  const { study, tactic, budget, signal } = options;
  const last = study.trials.at(-1)?.round ?? 0;
  for (let round = last; ; round++) {
    signal?.throwIfAborted();
    const own = study.trials.filter((trial) => trial.round === round).length;
    const room = study.trials.length < budget;
    // The last round of a smaller budget may have been cut short: it is made whole first.
    if (own === 0 || (room && round === last && own < tactic.population)) {
      if (!room) return;
      options.onProposing(round);
      if (!(await proposeRound(options, round, own)) && own === 0) return;
    }
    await measurePending(options);
    if (round === 0) checkFirstRound(options);
  }
}

/** Proposes a round, or what it lacks beside the `own` trials it has. */
async function proposeRound(
  { space, study, tactic, budget, constraints, warm, signal }: DriverOptions,
  round: number,
  own: number,
): Promise<boolean> {
  const start = performance.now();
  const trials = own === 0 ? study.trials : study.trials.filter((trial) => trial.round < round);
  const context = {
    space,
    round,
    limit: tactic.population,
    trials,
    bounds: constraints.bounds(trials),
    random: roundRandom(study.header.seed, round),
    seed: study.header.seed,
    warm,
    signal,
  };
  const proposal = await propose(tactic, context);
  const candidates = proposal.candidates
    .map(({ genes, origin }) => {
      space.check(genes);
      const canonical = space.canonical(genes);
      space.exact(canonical); // a bad value is said before it costs a measurement
      return { genes: canonical, origin, key: space.key(canonical) };
    })
    .filter(({ key }) => own === 0 || !study.find(key))
    .slice(0, Math.min(tactic.population - own, budget - study.trials.length))
    .map((candidate, index) => ({
      ...candidate,
      seed: trialSeed(study.header.seed, study.trials.length + index),
    }));
  if (candidates.length === 0) return false;
  const seconds = (performance.now() - start) / 1000;
  const info = own === 0 ? { ...proposal.info, proposed: candidates.length, seconds } : undefined;
  study.propose(round, candidates, info);
  return true;
}

/** Asks the tactic. @throws the signal's reason if aborted, whatever the tactic makes of it */
async function propose(tactic: Tactic, context: ProposeContext): Promise<Proposal> {
  const { round, signal } = context;
  try {
    return round === 0 ? initialRound(context, tactic) : await tactic.propose(context);
  } finally {
    signal?.throwIfAborted();
  }
}

/**
 * Measures all pending trials, `evaluator.concurrency` at a time. Trials that were running when this process died come first, one by one:
 * the one that ends it is then known, and fails after its retries instead of ending the search for ever.
 */
async function measurePending(options: DriverOptions): Promise<void> {
  const { study, evaluator, retries, signal } = options;
  const pending = study.trials.filter((trial) => !isDone(trial));
  const suspects = evaluator.isolated ? [] : pending.filter(({ attempts }) => attempts > 0);
  for (const { number, attempts } of suspects) {
    if (attempts > retries) {
      const error = `this process ended each time it was measured (${attempts} attempts)`;
      options.onTrial(study.fail(number, error, 0));
    } else await inLanes([number], 1, signal, (one, combined) => measure(options, one, combined));
  }
  const others = pending.filter((trial) => !suspects.includes(trial)).map(({ number }) => number);
  await inLanes(others, evaluator.concurrency, signal, (number, combined) => measure(options, number, combined));
}

async function measure(options: DriverOptions, number: number, signal: AbortSignal): Promise<void> {
  const { space, study, evaluator } = options;
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
    const result = await evaluator.evaluate(job, { signal, onStart: () => study.start(number, Date.now()) });
    if (result.status === 'complete') {
      const { status: _, ...outcome } = result;
      options.onTrial(study.complete(number, { ...outcome, values: space.complete(trial.genes, result.values) }));
    } else {
      options.onTrial(study.fail(number, result.error, result.attempts, result));
    }
  } catch (error) {
    if (study.trials[number]!.status === 'running') giveBack(study, number);
    throw error;
  }
}

/** Puts a trial back; the file may be full or another's, which the error that came first says. */
function giveBack(study: Study, number: number): void {
  try {
    study.release(number);
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
  }
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
