// What another study knows: candidates worth measuring first, and values that hold here too.
import { nonDominatedSort } from '@instatune/nsga2';
import { totalViolation } from './constraints.ts';
import { SearchError } from './errors.ts';
import { constraintBounds, constraintsAmong } from './given/constraint-values.ts';
import type { Space } from './space.ts';
import { objectiveMismatch, sameSpace } from './study/compare.ts';
import type { Study } from './study/study.ts';
import { isComplete, type Candidate, type CompleteTrial } from './study/trial.ts';
import { exactBounds } from './tactics/sampling.ts';
import type { ProposeContext } from './tactics/tactic.ts';

/** A finished study to start from: another device's, another seed's, an earlier version's. */
export interface WarmStartOptions {
  readonly study: Study;
  /**
   * Measured objectives whose values there hold here (accuracy does not depend on the device, latency does): the predictors learn from them
   * from the first round on. The others' values there become a feature: on another device they are different, but rarely in order.
   *
   * @defaultValue none
   */
  readonly trust?: readonly string[];
  /** How much of the first round is the other study's best candidates (measured again here). @defaultValue 0.5 */
  readonly share?: number;
  /** Numbers of the trials to start from. @defaultValue all complete ones */
  readonly trials?: readonly number[] | undefined;
}

export interface WarmStart {
  readonly trials: readonly CompleteTrial[];
  readonly trust: ReadonlySet<string>;
  readonly share: number;
}

/**
 * Checks that another study can help this search: the same genes by name, type and range, and the same objectives by name, direction and
 * unit. What is computed is computed again here, so exact objectives may be missing there.
 *
 * @throws SearchError `space-mismatch` if genes or objectives differ; `invalid-option` if `trust` or `share` makes no sense; `empty-warm-start`
 * if the study has no complete trial to start from
 */
export function warmStart(space: Space, options: WarmStartOptions): WarmStart {
  const { study, trust = [], share = 0.5 } = options;
  const wanted = options.trials && new Set(options.trials);
  const { name: other } = study.header;
  if (!sameSpace(space.problem.space, study.header.space)) {
    throw new SearchError(
      'space-mismatch',
      `study "${other}" has ${study.header.space.length} genes that are not those of problem "${space.problem.name}": warm start needs the same space`,
      {
        here: space.problem.space,
        there: study.header.space,
      },
    );
  }
  const measured = space.measured.map(({ name }) => name);
  const unknown = trust.filter((name) => !measured.includes(name));
  if (unknown.length > 0) {
    throw new SearchError(
      'invalid-option',
      `warm start trusts ${unknown.join(', ')}: the measured objectives are ${measured.join(', ')}`,
      { trust, measured },
    );
  }
  const there = study.header.objectives;
  const missing = measured.filter((name) => !there.some((objective) => objective.name === name));
  const mismatch =
    missing.length > 0
      ? `no objective ${missing.join(', ')} (but ${there.map(({ name }) => name).join(', ')})`
      : objectiveMismatch(space.problem.objectives, there, new Set(trust));
  if (mismatch !== undefined) {
    throw new SearchError(
      'space-mismatch',
      `study "${other}" has ${mismatch}: warm start needs the measured objectives of problem "${space.problem.name}" by the same names, directions and units`,
      { here: space.problem.objectives.map(({ name, direction, unit }) => ({ name, direction, unit })), there },
    );
  }
  if (!(share >= 0 && share <= 1))
    throw new SearchError('invalid-option', `warm start share is ${share}: use a number from 0 to 1`, { share });
  const complete = study.trials.filter(isComplete).filter(({ number }) => !wanted || wanted.has(number));
  if (complete.length === 0) {
    const asked = wanted ? `the trials ${[...wanted].join(', ')} of its` : 'its';
    throw new SearchError(
      'empty-warm-start',
      `study "${other}" has nothing to start from: none of ${asked} ${study.trials.length} trials is complete. Leave warmStart out, or name another study`,
      {
        study: other,
        trials: study.trials.length,
        failed: study.trials.filter(({ status }) => status === 'failed').length,
      },
    );
  }
  const trials = complete.map((trial) => {
    const genes = space.canonical(trial.genes);
    return { ...trial, genes, key: space.key(genes), values: { ...trial.values, ...space.exact(genes) } };
  });
  return { trials, trust: new Set(trust), share };
}

/**
 * The other study's best candidates: those that kept the measured constraints there (Deb et al. 2002), by front, then spread evenly along each front;
 * the others by how far they overstepped them. Canonical, unseen, inside the exact bounds.
 */
export function warmCandidates(
  context: Pick<ProposeContext, 'space' | 'bounds'>,
  warm: WarmStart,
  count: number,
  seen: Set<string>,
): Candidate[] {
  const { space } = context;
  const bounds = exactBounds(context);
  const usable = warm.trials.filter(
    ({ genes, values }) =>
      space.problem.objectives.every(({ name }) => Number.isFinite(values[name])) &&
      totalViolation(bounds, space.exact(genes)) === 0,
  );
  const found: Candidate[] = [];
  for (const front of warmFronts(space, usable)) {
    const fresh = front.filter(({ key }) => !seen.has(key));
    const take = Math.min(count - found.length, fresh.length);
    for (let i = 0; i < take; i++) {
      const trial = fresh[take === 1 ? 0 : Math.round((i * (fresh.length - 1)) / (take - 1))]!;
      if (seen.has(trial.key)) continue;
      seen.add(trial.key);
      found.push({ genes: trial.genes, origin: 'warm' });
    }
  }
  return found;
}

/** Fronts of what kept the constraints, each by its first objective; then the others one by one, the least oversteps first. */
function warmFronts(space: Space, trials: readonly CompleteTrial[]): readonly (readonly CompleteTrial[])[] {
  const judged = trials.map((trial) => ({ trial, over: oversteps(trial) }));
  const kept = judged.filter(({ over }) => over === 0).map(({ trial }) => trial);
  const others = judged
    .filter(({ over }) => over > 0)
    .sort((a, b) => a.over - b.over || a.trial.number - b.trial.number);
  const points = kept.map(({ values }) => space.minimised(values));
  const fronts = points.length === 0 ? [] : nonDominatedSort(points).fronts;
  const sorted = fronts.map((members) =>
    Array.from(members, (index) => kept[index]!).sort(
      (a, b) => space.minimised(a.values)[0]! - space.minimised(b.values)[0]! || a.number - b.number,
    ),
  );
  return [...sorted, ...others.map(({ trial }) => [trial])];
}

/** By how much a trial overstepped the constraints that were measured with it. */
function oversteps({ values }: CompleteTrial): number {
  return totalViolation(constraintBounds(Object.keys(constraintsAmong(values)), true), values);
}
