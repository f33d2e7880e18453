// The constraint language: "latency <= 20", "macs <= 0.6x", "accuracy >= baseline - 1%".
import { SearchError } from './errors.ts';

/** A bound on one objective or attribute, absolute or relative to the baseline candidate. */
export interface Constraint {
  readonly text: string;
  readonly name: string;
  readonly relation: '<=' | '>=';
  /** bound = factor·baseline + shift·|baseline| + offset; `factor` and `shift` are 0 for an absolute bound. */
  readonly factor: number;
  readonly shift: number;
  readonly offset: number;
}

/** A constraint with its number. */
export interface Bound {
  readonly text: string;
  readonly name: string;
  readonly relation: '<=' | '>=';
  readonly bound: number;
  /** Holds where there is no such value: of what is known of some trials only (a constraint of the tool they come from). @defaultValue false */
  readonly optional?: boolean;
}

const NUMBER = String.raw`\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?`;
const GRAMMAR = new RegExp(
  String.raw`^\s*(?<name>[A-Za-z_][\w.-]*)\s*(?<relation><=|>=|<|>|≤|≥)\s*` +
    String.raw`(?:(?<sign>[+-]?)\s*(?<value>${NUMBER})\s*(?<unit>[A-Za-z]*|%)|baseline(?:\s*(?<shiftSign>[+-])\s*(?<shiftValue>${NUMBER})\s*(?<percent>%?))?)\s*$`,
  'i',
);

/**
 * Parses one constraint. Percentages are of the baseline's magnitude: with a baseline accuracy of 92, "accuracy >= baseline - 1%" is ≥ 91.08
 * and "accuracy >= baseline - 1" is ≥ 91. "0.6x" is 0.6 times the baseline. Strict and non-strict relations are the same.
 *
 * @param names the objectives and attributes it may name, with their units if they have one ("latency <= 20ms")
 * @throws SearchError `bad-constraint`
 * @example
 * parseConstraint('latency <= 20ms', new Map([['latency', 'ms']])); // { name: 'latency', relation: '<=', offset: 20, … }
 */
export function parseConstraint(text: string, names: ReadonlyMap<string, string | undefined>): Constraint {
  const groups = GRAMMAR.exec(text)?.groups;
  if (!groups) {
    throw new SearchError(
      'bad-constraint',
      `"${text}" is not a constraint: write e.g. "latency <= 20", "macs <= 0.6x" or "accuracy >= baseline - 1%"`,
      { text },
    );
  }
  const wanted = groups['name']!;
  const name = names.has(wanted)
    ? wanted
    : [...names.keys()].find((known) => known.toLowerCase() === wanted.toLowerCase());
  if (name === undefined) {
    throw new SearchError(
      'bad-constraint',
      `"${text}" names "${groups['name']}": this problem has ${[...names.keys()].join(', ')}`,
      { text, names: [...names.keys()] },
    );
  }
  const relation = /[<≤]/.test(groups['relation']!) ? '<=' : '>=';
  if (groups['value'] === undefined) {
    const amount = Number(groups['shiftValue'] ?? 0) * (groups['shiftSign'] === '-' ? -1 : 1);
    return groups['percent'] === '%'
      ? { text, name, relation, factor: 1, shift: amount / 100, offset: 0 }
      : { text, name, relation, factor: 1, shift: 0, offset: amount };
  }
  const value = Number(groups['value']) * (groups['sign'] === '-' ? -1 : 1);
  const unit = groups['unit'] ?? '';
  if (unit.toLowerCase() === 'x') return { text, name, relation, factor: value, shift: 0, offset: 0 };
  const expected = names.get(name);
  if (unit !== '' && unit.toLowerCase() !== expected?.toLowerCase()) {
    throw new SearchError(
      'bad-constraint',
      `"${text}" is in "${unit}", ${name} in ${expected ?? 'no unit'}: write the bound ${expected ? `in ${expected}` : 'without a unit'}`,
      {
        text,
        unit,
        expected,
      },
    );
  }
  return { text, name, relation, factor: 0, shift: 0, offset: value };
}

export function needsBaseline(constraint: Constraint): boolean {
  return constraint.factor !== 0 || constraint.shift !== 0;
}

/**
 * Gives a constraint its number.
 *
 * @throws SearchError `no-baseline` if it is relative and the baseline's value is not known
 */
export function resolveConstraint(
  constraint: Constraint,
  baseline: Readonly<Record<string, number>> | undefined,
): Bound {
  const { text, name, relation } = constraint;
  if (!needsBaseline(constraint)) return { text, name, relation, bound: constraint.offset };
  const value = baseline?.[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new SearchError(
      'no-baseline',
      `"${text}" is relative to the baseline, which has no value of ${name}: give the problem \`baseline\` genes that can be measured`,
      { text },
    );
  }
  return {
    text,
    name,
    relation,
    bound: constraint.factor * value + constraint.shift * Math.abs(value) + constraint.offset,
  };
}

/**
 * How far a bound is overstepped, relative to its size, so that it is the same in any unit (a bound of 0 has no size: then in the unit of the
 * value); 0 or less where it holds. Infinity where the value is not known: missing (of a bound that is not optional), null, not finite.
 */
export function violation(
  { name, relation, bound, optional = false }: Bound,
  values: Readonly<Record<string, number>>,
): number {
  const value: unknown = values[name];
  if (optional && value === undefined) return 0;
  if (typeof value !== 'number' || !Number.isFinite(value)) return Infinity;
  const over = relation === '<=' ? value - bound : bound - value;
  return over / (Math.abs(bound) || 1);
}

/** Sum of the bounds' oversteps; 0 means feasible. */
export function totalViolation(bounds: readonly Bound[], values: Readonly<Record<string, number>>): number {
  return bounds.reduce((sum, bound) => sum + Math.max(0, violation(bound, values)), 0);
}
