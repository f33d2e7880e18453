// Candidates near what is good, gene by gene: tree-structured Parzen estimators (Bergstra et al. 2011), several objectives (Ozaki et al. 2022).
import { Breath, crowdingDistance, nonDominatedSort, type Random } from '@instatune/nsga2';
import { totalViolation, type Bound } from '../constraints.ts';
import type { Gene } from '../genes.ts';
import type { Space } from '../space.ts';
import { isComplete, type Trial } from '../study/trial.ts';

/** Share of the trials that counts as good, at least the whole front, and at most so many. */
const GOOD = 0.1;
const MOST_GOOD = 25;

/** Of more others than this every so many are looked at: where they are is known by then. */
const MOST_OTHERS = 1000;

/** Draws a gene, of which the one is taken that is most like the good trials and least like the others. */
const DRAWS = 24;

/** Places of a gene at which densities are tabulated. */
const GRID = 128;

/** What is known of one gene: draws are more likely where the good trials are, and `ratio` says how much more than where the others are. */
interface Estimate {
  draw(random: Random): number;
  /** Logarithm of the good density over the others'. */
  ratio(value: number): number;
}

/**
 * Up to `count` canonical candidates (some may be equal, or known). Each gene is drawn by itself, so that what is good about one trial meets what is
 * good about another; permutations are those of good trials, two items exchanged.
 *
 * @returns none while fewer than two trials are complete
 */
export async function parzenCandidates(
  space: Space,
  trials: readonly Trial[],
  bounds: readonly Bound[],
  random: Random,
  count: number,
  breath: Breath = new Breath(),
): Promise<readonly (readonly number[])[]> {
  const { good, others } = split(space, trials, bounds);
  if (good.length === 0 || others.length === 0) return [];
  const activeOf = new Map([...good, ...others].map((trial) => [trial, space.active(trial.genes)]));
  const estimates: (Estimate | undefined)[] = [];
  for (const [index, gene] of space.genes.entries()) {
    const valuesOf = (list: readonly Trial[]): readonly number[] =>
      list.filter((trial) => activeOf.get(trial)![index]).map(({ genes }) => genes[index]!);
    estimates.push(estimateOf(gene, valuesOf(good), valuesOf(others)));
    await breath.take();
  }
  const candidates: (readonly number[])[] = [];
  while (candidates.length < count) {
    const parent = good[random.integer(0, good.length - 1)]!;
    const genes = estimates.map((estimate, index) => {
      if (!estimate) return parent.genes[index]!;
      let best = estimate.draw(random);
      for (let draw = 1; draw < DRAWS; draw++) {
        const other = estimate.draw(random);
        if (estimate.ratio(other) > estimate.ratio(best)) best = other;
      }
      return best;
    });
    exchange(space, genes, random);
    candidates.push(space.canonical(genes));
    await breath.take();
  }
  return candidates;
}

/** The good: the first front or a share of the trials, whichever is more, of a front cut in two the more lonely. Failed and violating trials are others. */
function split(space: Space, trials: readonly Trial[], bounds: readonly Bound[]) {
  const complete = trials.filter(isComplete);
  const over = complete.map(({ values }) => totalViolation(bounds, values));
  const inside = complete.filter((_, i) => over[i] === 0);
  const ranked = inside.length > 0 ? inside : complete;
  const points = ranked.map(({ values }) => space.minimised(values));
  const { ranks } = nonDominatedSort(points);
  const lonely = loneliness(points, ranks);
  const order = ranked.map((_, i) => i).sort((a, b) => ranks[a]! - ranks[b]! || lonely[b]! - lonely[a]! || a - b);
  const first = ranked.filter((_, i) => ranks[i] === 0).length;
  const size = Math.min(MOST_GOOD, Math.max(first, Math.ceil(GOOD * trials.length)), ranked.length - 1);
  const good = order.slice(0, Math.max(0, size)).map((i): Trial => ranked[i]!);
  const chosen = new Set<Trial>(good);
  return { good, others: thinned(trials.filter((trial) => !chosen.has(trial) && trial.status !== 'pending')) };
}

function thinned(others: readonly Trial[]): readonly Trial[] {
  if (others.length <= MOST_OTHERS) return others;
  return Array.from({ length: MOST_OTHERS }, (_, i) => others[Math.floor((i * others.length) / MOST_OTHERS)]!);
}

/** Crowding distance of each point within its own front. */
function loneliness(points: readonly (readonly number[])[], ranks: ArrayLike<number>): Float64Array {
  const result = new Float64Array(points.length);
  const last = points.reduce((most, _, i) => Math.max(most, ranks[i]!), 0);
  for (let rank = 0; rank <= last; rank++) {
    const members = points.map((_, i) => i).filter((i) => ranks[i] === rank);
    const distances = crowdingDistance(members.map((i) => points[i]!));
    members.forEach((i, at) => (result[i] = distances[at]!));
  }
  return result;
}

/** Undefined for genes that are not drawn by themselves. */
function estimateOf(gene: Gene, good: readonly number[], others: readonly number[]): Estimate | undefined {
  if (gene.kind === 'permutation') return undefined;
  return gene.ordered ? onLine(gene, good, others) : amongLevels(gene, good, others);
}

/** Unordered levels: how often each was there, as if all of them together had been there once more. */
function amongLevels({ upper }: Gene, good: readonly number[], others: readonly number[]): Estimate {
  const weightsOf = (values: readonly number[]): Float64Array => {
    const weights = new Float64Array(upper + 1).fill(1 / (upper + 1) / (values.length + 1));
    for (const value of values) weights[value]! += 1 / (values.length + 1);
    return weights;
  };
  const wanted = weightsOf(good);
  const unwanted = weightsOf(others);
  return {
    draw(random) {
      let left = random.next();
      for (let level = 0; level < upper; level++) if ((left -= wanted[level]!) < 0) return level;
      return upper;
    },
    ratio: (level) => Math.log(wanted[level]! / unwanted[level]!),
  };
}

interface Kernel {
  readonly at: number;
  readonly width: number;
}

/** Ordered values: a normal kernel a value, as wide as it is far from its neighbours, and one as wide as the range. */
function onLine(gene: Gene, good: readonly number[], others: readonly number[]): Estimate {
  const { axis } = gene;
  const lower = axis?.lower ?? gene.lower;
  const upper = axis?.upper ?? gene.upper;
  const range = upper - lower;
  const place = (value: number): number => axis?.place(value) ?? value;
  const value = (at: number): number => {
    if (axis) return axis.value(at);
    return gene.kind === 'real' ? at : Math.round(at);
  };
  if (range === 0) return { draw: () => gene.lower, ratio: () => 0 };
  const kernels = kernelsOf(good.map(place), lower, range);
  const wanted = tabulated(kernels, lower, range);
  const unwanted = tabulated(kernelsOf(others.map(place), lower, range), lower, range);
  const logs = wanted.map((density, i) => Math.log(density / unwanted[i]!));
  return {
    draw(random) {
      const { at, width } = kernels[random.integer(0, kernels.length - 1)]!;
      for (let attempt = 0; attempt < 100; attempt++) {
        const drawn = random.normal(at, width);
        if (drawn >= lower && drawn <= upper) return value(drawn);
      }
      return value(at);
    },
    ratio(given) {
      const on = ((place(given) - lower) / range) * (GRID - 1);
      const left = Math.min(GRID - 2, Math.floor(on));
      return logs[left]! + (on - left) * (logs[left + 1]! - logs[left]!);
    },
  };
}

function kernelsOf(places: readonly number[], lower: number, range: number): readonly Kernel[] {
  const sorted = places.toSorted((a, b) => a - b);
  const least = range / Math.min(100, 1 + sorted.length);
  const kernels = sorted.map((at, i): Kernel => {
    const before = at - (sorted[i - 1] ?? lower);
    const after = (sorted[i + 1] ?? lower + range) - at;
    return { at, width: Math.max(least, before, after) };
  });
  return [...kernels, { at: lower + range / 2, width: range }];
}

/** The density of the kernels, each of which lies inside the range as a whole. */
function tabulated(kernels: readonly Kernel[], lower: number, range: number): Float64Array {
  const density = new Float64Array(GRID);
  for (const { at, width } of kernels) {
    const own = Float64Array.from(density, (_, i) => {
      const away = (lower + (range * i) / (GRID - 1) - at) / width;
      return Math.exp(-0.5 * away * away);
    });
    const mass = own.reduce((sum, one) => sum + one, 0);
    own.forEach((one, i) => (density[i]! += one / mass));
  }
  return density;
}

/** Exchanges two items of each permutation. */
function exchange({ problem }: Space, genes: number[], random: Random): void {
  let start = 0;
  for (const variable of problem.space) {
    const length = variable.type === 'permutation' ? variable.length : 1;
    if (length > 1) {
      const [a, b] = [random.integer(0, length - 1), random.integer(0, length - 1)].map((i) => start + i) as [
        number,
        number,
      ];
      [genes[a], genes[b]] = [genes[b]!, genes[a]!];
    }
    start += length;
  }
}
