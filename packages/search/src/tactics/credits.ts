// How many candidates of a round each acquisition rule proposes: more of those whose proposals entered the front when they were measured.
import { violation, type Bound } from '../constraints.ts';
import type { Space } from '../space.ts';
import { feasibleTrials, frontOf } from '../run/front.ts';
import { isComplete, type Trial } from '../study/trial.ts';

/** A rule's record before anything was measured, as if so many of so many proposals had entered the front. */
export interface Prior {
  readonly rule: string;
  readonly entered: number;
  readonly of: number;
}

/** Trials after which a proposal counts by 1/e of what the last one does. */
const MEMORY = 60;

/** Trials that are looked at: older ones count nothing. */
const WINDOW = 400;

/** Below this rate of the predicted front's proposals that enter the front, others get a share: all but `LEAST_MEAN` of a round at 0. */
const STAGNATING = 0.4;
const LEAST_MEAN = 0.3;

/** Rates at which the proposals of each rule have entered the front of their time, the last ones counting most. */
export function successRates(
  space: Space,
  trials: readonly Trial[],
  bounds: readonly Bound[],
  priors: readonly Prior[],
): Readonly<Record<string, number>> {
  const record = Object.fromEntries(priors.map(({ rule, entered, of }) => [rule, { entered, of }]));
  const covers = (a: readonly number[], b: readonly number[]): boolean => a.every((value, k) => value <= b[k]!);
  const from = Math.max(0, trials.length - WINDOW);
  let front = frontOf(space, feasibleTrials(trials.slice(0, from), bounds)).map(({ values }) =>
    space.minimised(values),
  );
  trials.slice(from).forEach((trial, index) => {
    const weight = Math.exp((from + index + 1 - trials.length) / MEMORY);
    const own = record[trial.origin];
    if (own) own.of += weight;
    if (!isComplete(trial) || bounds.some((bound) => violation(bound, trial.values) > 0)) return;
    const point = space.minimised(trial.values);
    if (front.some((other) => covers(other, point))) return;
    if (own) own.entered += weight;
    front = [...front.filter((other) => !covers(point, other)), point];
  });
  return Object.fromEntries(Object.entries(record).map(([rule, { entered, of }]) => [rule, entered / of]));
}

/**
 * How much of a round each rule has. All is the first rule's as long as its proposals enter the front: exploring costs nothing while
 * predictions are right. The less they do, the more is the others', in proportion to what their own proposals paid.
 */
export function stagnationShares(
  rates: Readonly<Record<string, number>>,
  first: string,
  count: number,
): Readonly<Record<string, number>> {
  const rest = Object.fromEntries(Object.entries(rates).filter(([rule]) => rule !== first));
  const exploring = (1 - LEAST_MEAN) * Math.max(0, 1 - rates[first]! / STAGNATING);
  const others = Math.round(exploring * count);
  return { [first]: count - others, ...sharesOf(rest, others) };
}

/** Share of what is explored that every rule has, however it fared: what it would find now is not known otherwise. */
const LEAST = 0.05;

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
