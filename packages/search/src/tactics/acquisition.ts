// Acquisition rules over the same predictors: what to measure for what it promises, for what it may be, and for what it would teach.
import { Breath, type Random } from '@instatune/nsga2';
import type { Bound } from '../constraints.ts';
import type { Space } from '../space.ts';
import type { Trial } from '../study/trial.ts';
import { chooseBatch, type Outcome } from './batch.ts';
import type { Prior } from './credits.ts';
import type { Predicted } from './inner.ts';
import { bestFronts, differing } from './ranked.ts';
import type { Surrogate } from './surrogate.ts';

/**
 * Origins of trials, and what is thought of the rules at first. The predicted front is what LINAS is; the others explore: near what is good
 * (Parzen estimators, of whose candidates the predictors choose), expected hypervolume improvement under the predictive deviation (Emmerich
 * 2006), fronts drawn from the predictions (Thompson 1933), the farthest from everything measured among the promising.
 */
export const RULES: readonly Prior[] = [
  { rule: 'linas', gained: 15, of: 15 },
  { rule: 'local', gained: 4, of: 8 },
  { rule: 'expected', gained: 4, of: 10 },
  { rule: 'thompson', gained: 2, of: 10 },
  { rule: 'farthest', gained: 1, of: 10 },
];

/** Candidates whose deviations are computed: the best fronts by means. */
const POOL = 500;

/** Where a normal deviate may be, with weights: Gauss–Hermite, five nodes, exact for polynomials up to the ninth degree. */
const NODES = [
  { at: 0, weight: 8 / 15 },
  { at: 1.355626179974266, weight: 0.2220759220056126 },
  { at: -1.355626179974266, weight: 0.2220759220056126 },
  { at: 2.8569700138728056, weight: 0.01125741132772069 },
  { at: -2.8569700138728056, weight: 0.01125741132772069 },
] as const;

/** Draws for objectives that err each on its own. */
const DRAWS = 8;

export interface AcquisitionOptions {
  readonly space: Space;
  readonly trials: readonly Trial[];
  /** What is being measured: as if it had what is predicted for it (Kriging believer, Ginsbourger 2010). */
  readonly pending?: readonly Trial[] | undefined;
  readonly bounds: readonly Bound[];
  readonly surrogate: Surrogate;
  readonly predicted: readonly Predicted[];
  /** Candidates near what is good. @defaultValue none */
  readonly local?: readonly Predicted[] | undefined;
  /** Share of each rule's proposals that may be unlikely to be measured. @defaultValue 1 */
  readonly bold?: number | undefined;
  /** How many each rule proposes. */
  readonly shares: Readonly<Record<string, number>>;
  readonly random: Random;
  /** Keys to avoid; grows by the keys chosen. */
  readonly seen: Set<string>;
  readonly breath?: Breath | undefined;
}

/** Candidates by rule; the predicted front first, which makes up for what the others cannot give. */
export async function acquire(
  options: AcquisitionOptions,
): Promise<readonly { readonly genes: readonly number[]; readonly origin: string }[]> {
  const {
    space,
    trials,
    pending = [],
    bounds,
    surrogate,
    predicted,
    local = [],
    bold = 1,
    shares,
    random,
    seen,
    breath = new Breath(),
  } = options;
  const believed = surrogate.values(pending.map(({ genes }) => genes));
  const count = (rule: string): number => shares[rule] ?? 0;
  const total = Object.values(shares).reduce((a, b) => a + b, 0);
  const chosen: { genes: readonly number[]; origin: string }[] = [];
  const take = (candidates: readonly Predicted[], origin: string): void => {
    for (const { genes } of candidates) chosen.push({ genes, origin });
  };
  const batch = async (
    pool: readonly Predicted[],
    wanted: number,
    outcomes?: (candidate: Predicted) => readonly Outcome[],
  ): Promise<readonly Predicted[]> =>
    wanted === 0
      ? []
      : chooseBatch({
          space,
          trials,
          believed,
          bounds,
          predicted: pool,
          count: wanted,
          bold: Math.floor(bold * wanted),
          seen,
          breath,
          ...(outcomes ? { outcomes } : {}),
        });
  take(await batch(predicted, count('linas')), 'linas');
  const fresh = local.filter(({ key }) => !seen.has(key));
  const near = await deviationsOf(surrogate, fresh, breath);
  take(await batch(fresh, count('local'), outcomesOf(options, fresh, near)), 'local');
  const explores = ['expected', 'thompson', 'farthest'].some((rule) => count(rule) > 0);
  const open = explores ? promising(predicted.filter(({ key }) => !seen.has(key))) : [];
  const deviations = await deviationsOf(surrogate, open, breath);
  if (deviations) {
    take(await batch(open, count('expected'), outcomesOf(options, open, deviations)), 'expected');
    const drawn = open.map((candidate, index) => ({
      ...candidate,
      objectives: candidate.objectives.map((value, k) => value + random.normal() * deviations[index]![k]!),
    }));
    take(await batch(drawn, count('thompson')), 'thompson');
  }
  take(farthest(open, [...trials, ...pending], count('farthest'), seen), 'farthest');
  if (chosen.length < total) take(await batch(predicted, total - chosen.length), 'linas');
  return chosen;
}

/** Rows whose deviations are computed in one go. */
const ROWS = 32;

/** Deviations of the pool's objectives; undefined where there is nothing in it, or the predictors say none. */
async function deviationsOf(
  surrogate: Surrogate,
  pool: readonly Predicted[],
  breath: Breath,
): Promise<readonly (readonly number[])[] | undefined> {
  const all: (readonly number[])[] = [];
  for (let start = 0; start < pool.length; start += ROWS) {
    const own = surrogate.deviations(pool.slice(start, start + ROWS).map(({ genes }) => genes));
    if (!own) return undefined;
    all.push(...own);
    await breath.take();
  }
  return all.length > 0 ? all : undefined;
}

/** What candidates may turn out to be; undefined where the predictors say no deviations. */
function outcomesOf(
  { space, random }: AcquisitionOptions,
  pool: readonly Predicted[],
  deviations: readonly (readonly number[])[] | undefined,
): ((candidate: Predicted) => readonly Outcome[]) | undefined {
  if (!deviations) return undefined;
  const byKey = new Map(pool.map(({ key }, index) => [key, deviations[index]!]));
  const shifts = shiftsOf(space.problem.objectives.length, deviations, random);
  return ({ key, objectives }) => {
    const own = byKey.get(key)!;
    return shifts.map(({ at, weight }) => ({ point: objectives.map((value, k) => value + at[k]! * own[k]!), weight }));
  };
}

/** What deviates by how many deviations, of each objective: nodes where one objective errs, draws that all candidates share where several do. */
function shiftsOf(
  objectives: number,
  deviations: readonly (readonly number[])[],
  random: Random,
): readonly { readonly at: readonly number[]; readonly weight: number }[] {
  const uncertain = Array.from({ length: objectives }, (_, k) => deviations.some((own) => own[k]! > 0));
  if (uncertain.filter(Boolean).length <= 1)
    return NODES.map(({ at, weight }) => ({ at: uncertain.map((is) => (is ? at : 0)), weight }));
  return Array.from({ length: DRAWS }, () => ({ at: uncertain.map(() => random.normal()), weight: 1 / DRAWS }));
}

/** The best fronts by means, inside the bounds. */
function promising(fresh: readonly Predicted[]): readonly Predicted[] {
  const feasible = fresh.filter(({ violation }) => violation === 0);
  if (feasible.length <= POOL) return feasible;
  return bestFronts(feasible, ({ objectives }) => objectives, POOL);
}

/**
 * Of the better half of the pool, one after the other the candidate that differs from everything measured and chosen in most genes. Real genes next
 * to never agree, so they tell no candidates apart: where all genes are real, the pool's order decides.
 */
function farthest(
  pool: readonly Predicted[],
  trials: readonly Trial[],
  count: number,
  seen: Set<string>,
): readonly Predicted[] {
  const open = pool.slice(0, Math.max(count, Math.ceil(pool.length / 2))).filter(({ key }) => !seen.has(key));
  const distances = open.map(({ genes }) =>
    trials.reduce((least, trial) => Math.min(least, differing(genes, trial.genes, least)), Infinity),
  );
  const chosen: Predicted[] = [];
  while (chosen.length < count && chosen.length < open.length) {
    let best = 0;
    for (let i = 1; i < open.length; i++) if (distances[i]! > distances[best]!) best = i;
    if (distances[best] === -1) break;
    const next = open[best]!;
    chosen.push(next);
    seen.add(next.key);
    distances[best] = -1;
    open.forEach(({ genes }, i) => {
      if (distances[i]! >= 0) distances[i] = Math.min(distances[i]!, differing(genes, next.genes, distances[i]!));
    });
  }
  return chosen;
}
