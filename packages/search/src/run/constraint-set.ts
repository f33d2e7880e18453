// A search's constraints: parsed once, given numbers as soon as the baseline they refer to is known.
import { needsBaseline, parseConstraint, resolveConstraint, type Bound, type Constraint } from '../constraints.ts';
import { SearchError } from '../errors.ts';
import { knownBounds } from '../given/known.ts';
import type { Space } from '../space.ts';
import { isComplete, type Trial } from '../study/trial.ts';

export class ConstraintSet {
  readonly #space: Space;
  readonly #constraints: readonly Constraint[];

  /** @throws SearchError `bad-constraint`, `no-baseline` */
  constructor(space: Space, texts: readonly string[]) {
    this.#space = space;
    this.#constraints = texts.map((text) => parseConstraint(text, space.units));
    const relative = this.#constraints.find(needsBaseline);
    if (relative && !space.baseline) {
      throw new SearchError(
        'no-baseline',
        `"${relative.text}" is relative to a baseline: give the problem \`baseline\` genes`,
        { text: relative.text },
      );
    }
  }

  /** What the baseline is known to be: its exact values always, its measured ones once its trial is complete. */
  baseline(trials: readonly Trial[]): Readonly<Record<string, number>> | undefined {
    const genes = this.#space.baseline;
    if (!genes) return undefined;
    const key = this.#space.key(genes);
    const trial = trials.find((t) => t.key === key);
    if (trial && isComplete(trial)) return trial.values;
    try {
      return this.#space.exact(genes);
    } catch (error) {
      // A study that is only looked at, before its baseline was measured.
      if (error instanceof SearchError && error.code === 'problem-module') return undefined;
      throw error;
    }
  }

  /** The constraints that have a number by now, and those that known trials came with. */
  bounds(trials: readonly Trial[]): readonly Bound[] {
    const baseline = this.baseline(trials);
    const own = this.#constraints
      .filter((constraint) => !needsBaseline(constraint) || Number.isFinite(baseline?.[constraint.name]))
      .map((constraint) => resolveConstraint(constraint, baseline));
    return [...own, ...knownBounds(trials)];
  }

  /** @throws SearchError `no-baseline` if the baseline failed and a constraint needs its value */
  check(trials: readonly Trial[]): void {
    for (const constraint of this.#constraints) resolveConstraint(constraint, this.baseline(trials));
  }
}
