// Constraints whose values are measured, here or elsewhere: kept among a trial's values, under names of their own.
import type { Bound } from '../constraints.ts';

/** By name; the candidate is feasible where each is 0 or less. */
export type NamedConstraints = Readonly<Record<string, number>>;

/** Before a constraint's name, among a trial's values and in a table's headings. */
const MARK = 'constraint ';

/** Under which name the value of a constraint is kept. */
export const constraintValueName = (name: string): string => `${MARK}${name}`;

/** The constraint whose value is kept under a name; undefined for other values. */
export const constraintOfValue = (name: string): string | undefined =>
  name.startsWith(MARK) ? name.slice(MARK.length) : undefined;

/** A bound for each of the constraints. @param optional whether they hold for trials that have no value of them: of what is known of some only */
export function constraintBounds(names: Iterable<string>, optional: boolean): readonly Bound[] {
  return [...new Set(names)].map((name) => ({
    text: `${constraintValueName(name)} <= 0`,
    name: constraintValueName(name),
    relation: '<=',
    bound: 0,
    ...(optional ? { optional } : {}),
  }));
}

/** Whether a bound is on the value of a measured constraint, not on an objective or attribute. */
export const isConstraintBound = ({ name }: Pick<Bound, 'name'>): boolean => constraintOfValue(name) !== undefined;

/** The constraints among a trial's values or a row's cells, by name. */
export function constraintsAmong<T>(values: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => {
      const constraint = constraintOfValue(name);
      return constraint === undefined ? [] : [[constraint, value]];
    }),
  );
}
