// The loop under every tactic: propose a round, measure what is pending, repeat until the budget is spent. Resuming is running it again.
import { isDone } from '../study/trial.ts';
import { roundRandom, trialSeed } from '../seeds.ts';
import { KNOWN } from '../given/known.ts';
import type { DriverOptions } from './driver-options.ts';
import { inLanes } from './lanes.ts';
import { measureTrial } from './measuring.ts';
import { whenUnlocked } from './unlocked.ts';
import { ask, canonicalCandidates, checkFirstRound, spent } from './proposing.ts';

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

/** Most candidates of a round: the first one has all that were given. */
function roundSize({ study, tactic, given, space }: DriverOptions, round: number): number {
  const before = study.trials.filter((trial) => trial.round < round && trial.origin !== KNOWN).length;
  const size = tactic.sizeAfter?.(before) ?? tactic.population;
  return round === 0 ? Math.max(size, given.length + (space.baseline ? 1 : 0)) : size;
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
    limit:
      tactic.sizeAfter?.(round === 0 ? 0 : trials.filter(({ origin }) => origin !== KNOWN).length) ?? tactic.population,
    trials,
    bounds: constraints.bounds(trials),
    random: roundRandom(study.header.seed, round),
    seed: study.header.seed,
    warm,
    given,
    signal,
  };
  const proposal = await ask(tactic, context);
  const candidates = canonicalCandidates(space, proposal)
    .filter(({ key }) => own === 0 || !study.find(key))
    .slice(0, Math.min(roundSize(options, round) - own, budget - spent(study)))
    .map((candidate, index) => ({
      ...candidate,
      seed: trialSeed(study.header.seed, study.trials.length + index),
    }));
  if (candidates.length === 0) return false;
  const seconds = (performance.now() - start) / 1000;
  const info = own === 0 ? { ...proposal.info, proposed: candidates.length, seconds } : undefined;
  await whenUnlocked(() => study.propose(round, candidates, info), signal);
  return true;
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
      options.onTrial(await whenUnlocked(() => study.fail(number, error, 0), signal));
    } else await inLanes([number], 1, signal, (one, combined) => measureTrial(options, one, combined));
  }
  const others = pending.filter((trial) => !suspects.includes(trial)).map(({ number }) => number);
  await inLanes(others, evaluator.concurrency, signal, (number, combined) => measureTrial(options, number, combined));
}
