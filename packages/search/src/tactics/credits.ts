// How many candidates of a round each acquisition rule proposes: more of those whose proposals entered the front when they were measured.
import { violation, type Bound } from '../constraints.ts';
import type { Space } from '../space.ts';
import { isComplete, type Trial } from '../study/trial.ts';

/** A rule's record before anything was measured, as if so many of so many proposals had entered the front. */
export interface Prior {
  readonly rule: string;
  readonly entered: number;
  readonly of: number;
}

/** What a proposal of the round before counts, against one of the last. */
const MEMORY = 0.7;

/** Share of a round that every rule has, however it fared: what it would find now is not known otherwise. */
const LEAST = 0.05;

/** Rates at which the proposals of each rule have entered the front of their time, the last rounds counting most. */
export function successRates(
  space: Space,
  trials: readonly Trial[],
  bounds: readonly Bound[],
  priors: readonly Prior[],
): Readonly<Record<string, number>> {
  const record = Object.fromEntries(priors.map(({ rule, entered, of }) => [rule, { entered, of }]));
  const last = trials.at(-1)?.round ?? 0;
  const front: (readonly number[])[] = [];
  const covers = (a: readonly number[], b: readonly number[]): boolean => a.every((value, k) => value <= b[k]!);
  for (const trial of trials) {
    const weight = MEMORY ** (last - trial.round);
    const own = record[trial.origin];
    if (own) own.of += weight;
    if (!isComplete(trial) || bounds.some((bound) => violation(bound, trial.values) > 0)) continue;
    const point = space.minimised(trial.values);
    if (front.some((other) => covers(other, point))) continue;
    if (own) own.entered += weight;
    const rest = front.filter((other) => !covers(point, other));
    front.splice(0, front.length, ...rest, point);
  }
  return Object.fromEntries(Object.entries(record).map(([rule, { entered, of }]) => [rule, entered / of]));
}

/** Whole numbers of candidates in proportion to the rates, `LEAST` of all for each rule, that sum to `count`. */
export function sharesOf(rates: Readonly<Record<string, number>>, count: number): Readonly<Record<string, number>> {
  const rules = Object.keys(rates);
  const total = rules.reduce((sum, rule) => sum + rates[rule]!, 0);
  const wanted = rules.map((rule) => {
    const share = total > 0 ? rates[rule]! / total : 1 / rules.length;
    return count * (LEAST + (1 - LEAST * rules.length) * share);
  });
  const shares = wanted.map(Math.floor);
  // What rounding leaves goes to the largest remainders.
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[b]! % 1) - (wanted[a]! % 1) || a - b);
  let left = count - shares.reduce((a, b) => a + b, 0);
  for (const i of order) if (left-- > 0) shares[i]!++;
  return Object.fromEntries(rules.map((rule, i) => [rule, shares[i]!]));
}
