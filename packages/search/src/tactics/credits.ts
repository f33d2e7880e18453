// How many candidates of a round each acquisition rule proposes: more of those whose proposals gained more hypervolume when they were measured.
import { violation, type Bound } from '../constraints.ts';
import { widthOf } from '../range.ts';
import { feasibleTrials, frontOf } from '../run/front.ts';
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial, type Trial } from '../study/trial.ts';
import { Frontier } from './frontier.ts';

/** A rule's record before anything was measured, as if so many proposals had gained so many times what the mean one gains. */
export interface Prior {
  readonly rule: string;
  readonly gained: number;
  readonly of: number;
}

/** Trials after which a proposal counts by 1/e of what the last one does. */
const MEMORY = 60;

/** Trials that are looked at: older ones count nothing. */
const WINDOW = 200;

/** What one proposal may count, in means of its round: one lucky find is no rule. */
const MOST_GAIN = 5;

/** Trials that tell what there is: those that came before anything was learned. */
const FIRST = 20;

/** Share of what a proposal gained lately below which a round's mean gain counts as less: crumbs are no merit. */
const LEAST_GAIN = 0.1;

/**
 * What proposals of each rule have gained lately, in hypervolume beyond the front that they met, 1 for the mean proposal of its round. A round
 * in which nothing gains, or next to nothing, says nothing for the rules that proposed it: they lose to those that did not.
 */
export function gainRates(
  space: Space,
  trials: readonly Trial[],
  bounds: readonly Bound[],
  priors: readonly Prior[],
): Readonly<Record<string, number>> {
  const record = Object.fromEntries(priors.map(({ rule, gained, of }) => [rule, { gained, of }]));
  const recent = trials.slice(-WINDOW);
  const rounds = [...new Set(recent.map((trial) => trial.round))].flatMap((round) => {
    const own = recent.filter((trial) => trial.round === round);
    if (!own.some(({ origin }) => record[origin])) return [];
    const places = own.map((trial) => trials.indexOf(trial));
    return [{ own, places, gains: gainsOf(space, trials.slice(0, places[0]), own, bounds) }];
  });
  const least = LEAST_GAIN * mean(rounds.flatMap(({ gains }) => gains));
  for (const { own, places, gains } of rounds) {
    const unit = Math.max(least, mean(gains));
    own.forEach(({ origin }, index) => {
      const credit = record[origin];
      if (!credit) return;
      const weight = Math.exp((places[index]! + 1 - trials.length) / MEMORY);
      credit.of += weight;
      if (unit > 0) credit.gained += weight * Math.min(MOST_GAIN, gains[index]! / unit);
    });
  }
  return Object.fromEntries(Object.entries(record).map(([rule, { gained, of }]) => [rule, gained / of]));
}

/** Hypervolume that each trial adds to the front of those before, as a share of the box that the front and the better half of the first trials lie in. */
function gainsOf(
  space: Space,
  before: readonly Trial[],
  own: readonly Trial[],
  bounds: readonly Bound[],
): readonly number[] {
  const pointOf = ({ values }: CompleteTrial): readonly number[] => space.minimised(values);
  const inside = feasibleTrials(before, bounds);
  const front = frontOf(space, inside).map(pointOf);
  const points = own.map((trial) =>
    isComplete(trial) && bounds.every((bound) => violation(bound, trial.values) <= 0) ? pointOf(trial) : undefined,
  );
  const all = [...front, ...points.flatMap((point) => (point ? [point] : []))];
  if (all.length === 0) return own.map(() => 0);
  const first = inside.slice(0, FIRST).map(pointOf);
  const lows = all[0]!.map((_, k) => Math.min(...all.map((point) => point[k]!)));
  // A front can be a sliver of what there is, in which the least is much.
  const widths = lows.map((low, k) =>
    widthOf(low, Math.max(medianOf(first.map((point) => point[k]!)), ...all.map((point) => point[k]!))),
  );
  const scale = (point: readonly number[]): readonly number[] =>
    point.map((value, k) => (widths[k]! > 0 ? (value - lows[k]!) / widths[k]! : 0));
  const frontier = new Frontier(
    front.map(scale),
    lows.map(() => 1.1),
  );
  return points.map((point) => (point ? frontier.gain(scale(point)) : 0));
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value / values.length, 0);

/** −∞ of none. */
const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? -Infinity;

/** Share of a round that every rule has, however it fared: what it would find now is not known otherwise. */
const LEAST = 0.05;

/** Whole numbers of candidates in proportion to the squares of the rates, `LEAST` of all for each rule, that sum to `count`. */
export function sharesOf(rates: Readonly<Record<string, number>>, count: number): Readonly<Record<string, number>> {
  const rules = Object.keys(rates);
  const total = rules.reduce((sum, rule) => sum + rates[rule]! ** 2, 0);
  const wanted = rules.map((rule) => {
    const share = total > 0 ? rates[rule]! ** 2 / total : 1 / rules.length;
    return count * (LEAST + (1 - LEAST * rules.length) * share);
  });
  const shares = wanted.map(Math.floor);
  // What rounding leaves goes to the largest remainders.
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[b]! % 1) - (wanted[a]! % 1) || a - b);
  let left = count - shares.reduce((a, b) => a + b, 0);
  for (const i of order) if (left-- > 0) shares[i]!++;
  return Object.fromEntries(rules.map((rule, i) => [rule, shares[i]!]));
}
