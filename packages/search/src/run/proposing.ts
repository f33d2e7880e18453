// What every way of proposing does: asks the tactic, makes candidates canonical, counts, and looks at the first round.
import { SearchError, messageOf } from '../errors.ts';
import { KNOWN } from '../given/known.ts';
import type { Space } from '../space.ts';
import type { Study } from '../study/study.ts';
import type { Candidate } from '../study/trial.ts';
import { initialRound } from '../tactics/initial.ts';
import type { Proposal, ProposeContext, Tactic } from '../tactics/tactic.ts';
import type { DriverOptions } from './driver-options.ts';

/** Trials that were measured, or are to be. */
export function spent(study: Study): number {
  return study.trials.reduce((count, { origin }) => count + Number(origin !== KNOWN), 0);
}

/** Asks the tactic. @throws the signal's reason if aborted, whatever the tactic makes of it */
export async function ask(tactic: Tactic, context: ProposeContext): Promise<Proposal> {
  const { round, signal } = context;
  try {
    return round === 0 ? initialRound(context, tactic) : await tactic.propose(context);
  } finally {
    signal?.throwIfAborted();
  }
}

/** Checked and canonical, with their keys. @throws what the problem's computed objectives throw */
export function canonicalCandidates(space: Space, { candidates }: Proposal): readonly (Candidate & { key: string })[] {
  return candidates.map(({ genes, origin }) => {
    space.check(genes);
    const canonical = space.canonical(genes);
    space.exact(canonical); // a bad value is said before it costs a measurement
    return { genes: canonical, origin, key: space.key(canonical) };
  });
}

/** @throws SearchError `measurement-failed` where all of the first round failed, `no-baseline` where constraints need one that did */
export function checkFirstRound({ study, constraints }: DriverOptions): void {
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
