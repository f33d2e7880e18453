// Choosing by a budget: the best that is within it, or what comes nearest and by how much it misses.
import { isComplete, pick, type Bound, type FrontPoint, type PickSource, type SearchResult } from '@instatune/search';
import { TuneError } from '../errors.ts';
import type { BudgetBound } from './grammar.ts';
import { chooseNearest, missOf, type Nearest } from './nearest.ts';
import { isQuantityName, quantity } from './quantities.ts';

/** What a budget chose among measured sub-networks. */
export interface Choice {
  readonly point: FrontPoint;
  /** How, for people. */
  readonly rule: string;
  /** Bounds that it does not keep yet, all of quality: fine-tuning on may get there. Empty where it is within the budget. */
  readonly open: readonly Bound[];
}

/** Bounds with their numbers. @throws TuneError `bad-budget` where the baseline has no value of what a bound names */
export function resolveBudget(
  budget: readonly BudgetBound[],
  baseline: Readonly<Record<string, number>>,
): readonly Bound[] {
  return budget.map(({ text, name, relation, factor, shift, offset }) => {
    const value = baseline[name];
    if (value === undefined || !Number.isFinite(value)) {
      const known = Object.keys(baseline).join(', ');
      throw new TuneError('bad-budget', `the budget "${text}" names ${name}, which this task has not: use ${known}`, {
        text,
        known,
      });
    }
    const bound = (factor === 0 ? 0 : factor * value) + shift * Math.abs(value) + offset;
    return { text, name, relation, bound };
  });
}

/**
 * The best sub-network within a budget. Bounds of cost (latency, macs, …) hold as measured; where nothing keeps a bound of quality (loss,
 * accuracy, …) as it is, the best within the costs is chosen, with those bounds open: it is fine-tuned on by itself.
 *
 * @param optimize which quantity is best within the budget. @defaultValue the quality where only costs are bounded, the cost where only
 *   quality is, else the front's knee
 * @throws TuneError `unmet-budget` where nothing keeps the costs; `details.nearest` is what comes nearest
 */
export function chooseByBudget(
  result: SearchResult,
  budget: readonly BudgetBound[],
  optimize?: string,
): Choice & { readonly bounds: readonly Bound[] } {
  const bounds = resolveBudget(budget, result.baseline ?? {});
  const costs = bounds.filter(({ name }) => quantity(name as BudgetBound['name']).kind === 'cost');
  // Not the front alone: a bound may be on what the search recorded without optimising it.
  const points = result.trials
    .filter(isComplete)
    .map(({ number, genes, values }): FrontPoint => ({ number, genes, values }));
  const within = (wanted: readonly Bound[]) => {
    const kept = points.filter(({ values }) => wanted.every((each) => missOf(each, values) <= 0));
    if (kept.length === 0) return undefined;
    const { point, rule } = pick(withObjective({ ...result, front: kept }, optimize), {
      optimize: optimize ?? bestOf(result, budget),
    });
    return { point, rule: wanted.length === 0 ? rule : `${rule} within ${wanted.map(({ text }) => text).join(', ')}` };
  };
  const whole = within(bounds);
  if (whole) return { ...whole, open: [], bounds };
  const nearest = chooseNearest(points, bounds);
  if (costs.length < bounds.length) {
    const affordable = points.filter(({ values }) => costs.every((each) => missOf(each, values) <= 0));
    if (affordable.length > 0) {
      const { point } = chooseNearest(affordable, bounds);
      const open = bounds.filter((each) => missOf(each, point.values) > 0);
      return { point, rule: `nearest to ${open.map(({ text }) => text).join(', ')} at its cost`, open, bounds };
    }
  }
  throw unmet(nearest, bounds);
}

/** A result to pick from by what its trials recorded without optimising it: accuracy, F1. */
function withObjective(result: SearchResult, name: string | undefined): PickSource {
  const { objectives } = result.header;
  if (name === undefined || !isQuantityName(name) || objectives.some((each) => each.name === name)) return result;
  const direction = quantity(name).better === 'more' ? 'maximize' : 'minimize';
  return { ...result, header: { objectives: [...objectives, { ...objectives[0]!, name, direction }] } };
}

function bestOf({ header }: SearchResult, budget: readonly BudgetBound[]): string | undefined {
  const kinds = new Set(budget.map(({ name }) => quantity(name).kind));
  if (kinds.size !== 1) return undefined;
  const wanted = kinds.has('cost') ? 'quality' : 'cost';
  return header.objectives.find(({ name }) => quantity(name as BudgetBound['name']).kind === wanted)?.name;
}

/** In words: what is asked, what there is. */
export function unmet({ point, values }: Nearest, bounds: readonly Bound[]): TuneError {
  const parts = bounds.map(
    ({ text, name, relation, bound }) =>
      `"${text}" asks for ${name} ${relation} ${shown(bound)}, the nearest has ${shown(values[name] ?? Number.NaN)}`,
  );
  const message = `no sub-network that was found is within the budget: ${parts.join('; ')}. Loosen it (the same command with another --budget goes on from here), measure more (--evaluations) or train longer (another --out)`;
  return new TuneError('unmet-budget', message, { nearest: { number: point.number, values }, bounds });
}

const shown = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : 'none');
