// A search's constraints: parsed once, given numbers as soon as the baseline they refer to is known.
import { needsBaseline, parseConstraint, resolveConstraint, type Bound, type Constraint } from '../constraints.ts';
import { SearchError } from '../errors.ts';
import { constraintBounds, constraintOfValue } from '../given/constraint-values.ts';
import { KNOWN } from '../given/known.ts';
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial, type Trial } from '../study/trial.ts';
import { checkInequality } from './inequality.ts';

export class ConstraintSet {
  readonly #space: Space;
  readonly #constraints: readonly Constraint[];
  readonly #baselineKey: string | undefined;
  #baseline: CompleteTrial | undefined;
  /** Those the problem measures, then those that known trials came with. */
  #measured: readonly Bound[];
  /** Known trials that were looked at: they are the first of a study, and never change. */
  #looked = 0;

  /** @throws SearchError `bad-constraint`, `no-baseline`, `invalid-problem` */
  constructor(space: Space, texts: readonly string[]) {
    checkInequality(space.problem);
    this.#space = space;
    this.#constraints = texts.map((text) => parseConstraint(text, space.units));
    this.#measured = constraintBounds(
      (space.problem.inequality ?? []).map(({ name }) => name),
      false,
    );
    this.#baselineKey = space.baseline && space.key(space.baseline);
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
    const trial = this.#baselineAmong(trials);
    if (trial) return trial.values;
    try {
      return this.#space.exact(genes);
    } catch (error) {
      // A study that is only looked at, before its baseline was measured.
      if (error instanceof SearchError && error.code === 'problem-module') return undefined;
      throw error;
    }
  }

  /** Once it is complete it stays what and where it is; some ask with fewer trials. */
  #baselineAmong(trials: readonly Trial[]): CompleteTrial | undefined {
    const known = this.#baseline;
    if (known && trials[known.number] === known) return known;
    const trial = trials.find(({ key }) => key === this.#baselineKey);
    if (!trial || !isComplete(trial)) return undefined;
    this.#baseline = trial;
    return trial;
  }

  /** The constraints that have a number by now, those that the problem measures, and those that known trials came with. */
  bounds(trials: readonly Trial[]): readonly Bound[] {
    const relative = this.#constraints.some(needsBaseline);
    const baseline = relative ? this.baseline(trials) : undefined;
    const own = this.#constraints
      .filter((constraint) => !needsBaseline(constraint) || Number.isFinite(baseline?.[constraint.name]))
      .map((constraint) => resolveConstraint(constraint, baseline));
    this.#lookAt(trials);
    return [...own, ...this.#measured];
  }

  #lookAt(trials: readonly Trial[]): void {
    const names = new Set<string>();
    for (; trials[this.#looked]?.origin === KNOWN; this.#looked++) {
      for (const name of Object.keys(trials[this.#looked]!.values ?? {})) {
        const constraint = constraintOfValue(name);
        if (constraint !== undefined && !this.#measured.some((bound) => bound.name === name)) names.add(constraint);
      }
    }
    if (names.size > 0) this.#measured = [...this.#measured, ...constraintBounds(names, true)];
  }

  /** @throws SearchError `no-baseline` if the baseline failed and a constraint needs its value */
  check(trials: readonly Trial[]): void {
    for (const constraint of this.#constraints) resolveConstraint(constraint, this.baseline(trials));
  }
}
