// What another study knows: candidates worth measuring first, and values that hold here too.
import { nonDominatedSort } from '@instatune/nsga2';
import { totalViolation } from './constraints.ts';
import { SearchError } from './errors.ts';
import type { Space } from './space.ts';
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
 * Checks that another study can help this search.
 *
 * @throws SearchError `space-mismatch` if its genes differ; `invalid-option` if `trust` or `share` makes no sense
 */
export function warmStart(space: Space, options: WarmStartOptions): WarmStart {
  const { study, trust = [], share = 0.5 } = options;
  const wanted = options.trials && new Set(options.trials);
  const here = JSON.stringify(space.problem.space);
  const there = JSON.stringify(study.header.space);
  if (here !== there) {
    throw new SearchError(
      'space-mismatch',
      `study "${study.header.name}" has ${study.header.space.length} genes that are not those of problem "${space.problem.name}": warm start needs the same space`,
      {
        here: space.problem.space,
        there: study.header.space,
      },
    );
  }
  const measured = space.problem.objectives.filter(({ kind }) => kind === 'measured').map(({ name }) => name);
  const unknown = trust.filter((name) => !measured.includes(name));
  if (unknown.length > 0) {
    throw new SearchError(
      'invalid-option',
      `warm start trusts ${unknown.join(', ')}: the measured objectives are ${measured.join(', ')}`,
      { trust, measured },
    );
  }
  if (!(share >= 0 && share <= 1))
    throw new SearchError('invalid-option', `warm start share is ${share}: use a number from 0 to 1`, { share });
  const complete = study.trials.filter(isComplete).filter(({ number }) => !wanted || wanted.has(number));
  const trials = complete.map((trial) => {
    const genes = space.canonical(trial.genes);
    return { ...trial, genes, key: space.key(genes) };
  });
  return { trials, trust: new Set(trust), share };
}

/** The other study's best candidates by front, then spread evenly along each front; canonical, unseen, inside the exact bounds. */
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
  const points = usable.map(({ values }) => space.minimised(values));
  const ranks = points.length === 0 ? [] : [...nonDominatedSort(points).ranks];
  const found: Candidate[] = [];
  for (let rank = 0; found.length < count && ranks.includes(rank); rank++) {
    const front = usable
      .filter((_, index) => ranks[index] === rank)
      .sort((a, b) => space.minimised(a.values)[0]! - space.minimised(b.values)[0]! || a.number - b.number);
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
