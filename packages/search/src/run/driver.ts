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
import { KNOWN } from '../given/known.ts';
import { initialRound } from '../tactics/initial.ts';
import type { ConstraintSet } from './constraint-set.ts';
import { inLanes } from './lanes.ts';

export interface DriverOptions {
  readonly space: Space;
  readonly study: Study;
  readonly tactic: Tactic;
  readonly evaluator: Evaluator;
  /** Trials to have in all, those that were known not counted. */
  readonly budget: number;
  /** Canonical genes to measure first. */
  readonly given: readonly (readonly number[])[];
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
  const { study, budget, signal } = options;
  const last = study.trials.at(-1)?.round ?? 0;
  for (let round = last; ; round++) {
    signal?.throwIfAborted();
    const own = study.trials.filter((trial) => trial.round === round && trial.origin !== KNOWN).length;
    const room = spent(study) < budget;
    // The last round of a smaller budget may have been cut short: it is made whole first.
    if (own === 0 || (room && round === last && own < roundSize(options, round))) {
      if (!room) return;
      options.onProposing(round);
      // With enough known, the first round has nothing to measure.
      if (!(await proposeRound(options, round, own)) && own === 0 && (round > 0 || study.trials.length === 0)) return;
    }
    await measurePending(options);
    if (round === 0) checkFirstRound(options);
  }
}

/** Trials that were measured, or are to be. */
export function spent(study: Study): number {
  return study.trials.reduce((count, { origin }) => count + Number(origin !== KNOWN), 0);
}

/** Most candidates of a round: the first one has all that were given. */
function roundSize({ tactic, given, space }: DriverOptions, round: number): number {
  return round === 0 ? Math.max(tactic.population, given.length + (space.baseline ? 1 : 0)) : tactic.population;
}

/** Proposes a round, or what it lacks beside the `own` trials it has. */
async function proposeRound(options: DriverOptions, round: number, own: number): Promise<boolean> {
  const { space, study, tactic, budget, constraints, warm, given, signal } = options;
  const start = performance.now();
  const trials =
    own === 0 ? study.trials : study.trials.filter((trial) => trial.round < round || trial.origin === KNOWN);
  const context = {
    space,
    round,
    limit: tactic.population,
    trials,
    bounds: constraints.bounds(trials),
    random: roundRandom(study.header.seed, round),
    seed: study.header.seed,
    warm,
    given,
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
    .slice(0, Math.min(roundSize(options, round) - own, budget - spent(study)))
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
  if (first.length > 0 && first.every((trial) => trial.status === 'failed')) {
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
