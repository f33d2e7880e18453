// Fresh random candidates: canonical, distinct, unseen, and inside every bound that can be computed without measuring.
import { SearchError } from '../errors.ts';
import { totalViolation, type Bound } from '../constraints.ts';
import { isConstraintBound } from '../given/constraint-values.ts';
import type { Candidate } from '../study/trial.ts';
import type { ProposeContext } from './tactic.ts';

/** Draws before giving up: a bound that leaves one candidate in 10,000 is still met by sampling. */
const PATIENCE = 50_000;

/** The bounds on exact objectives and attributes: no candidate outside them is ever measured. */
export function exactBounds({ space, bounds }: Pick<ProposeContext, 'space' | 'bounds'>): readonly Bound[] {
  const measured = new Set(space.measured.map(({ name }) => name));
  return bounds.filter((bound) => !measured.has(bound.name) && !isConstraintBound(bound));
}

/**
 * Up to `count` random candidates; fewer if the space runs out of unseen ones.
 *
 * @param seen keys to avoid; grows by the keys returned
 * @throws SearchError `no-feasible-candidate` if the exact constraints exclude everything drawn
 */
export function randomCandidates(
  context: ProposeContext,
  count: number,
  origin: string,
  seen: Set<string>,
): Candidate[] {
  const { space, random } = context;
  const bounds = exactBounds(context);
  const found: Candidate[] = [];
  let rejected = 0;
  for (let draws = 0; found.length < count && draws < PATIENCE + 500 * count; draws++) {
    const genes = space.sample(random);
    const key = space.key(genes);
    if (seen.has(key)) {
      // Small spaces: stop once draws stop bringing anything new.
      if (draws > 50 * (seen.size + 20) && rejected === 0) break;
      continue;
    }
    if (bounds.length > 0 && totalViolation(bounds, space.exact(genes)) > 0) {
      rejected++;
      continue;
    }
    seen.add(key);
    found.push({ genes, origin });
  }
  if (found.length === 0 && rejected > 0 && context.trials.length === 0) {
    throw new SearchError(
      'no-feasible-candidate',
      `none of ${rejected} random candidates satisfies ${bounds.map(({ text }) => `"${text}"`).join(' and ')}: loosen the constraint`,
      {
        bounds,
        rejected,
      },
    );
  }
  return found;
}

/** Keys of everything in the study. */
export function seenKeys({ trials, pending = [] }: Pick<ProposeContext, 'trials' | 'pending'>): Set<string> {
  return new Set([...trials, ...pending].map(({ key }) => key));
}
