// Choosing one point of a front: the knee, the best within a budget, or by weights.
import { chooseByWeights, kneePoint } from '@instatune/nsga2';
import { parseConstraint, resolveConstraint, violation, type Bound } from '../constraints.ts';
import { SearchError } from '../errors.ts';
import type { StudyHeader } from '../study/header.ts';
import type { FrontPoint } from './progress.ts';

export interface PickOptions {
  /** One bound or several: "latency <= 0.6x", "macs <= 5e9", "loss <= baseline + 1%". @defaultValue none: the knee */
  readonly budget?: string | readonly string[] | undefined;
  /** Within the budget: the best by this objective. @defaultValue the knee if there is no budget, else the first objective the budget does not name */
  readonly optimize?: string | undefined;
  /** How much each objective matters, by name: the point whose pseudo-weights (Deb 2001) are nearest. @defaultValue none */
  readonly weights?: Readonly<Record<string, number>> | undefined;
}

export interface Choice {
  readonly point: FrontPoint;
  /** How it was chosen, for people. */
  readonly rule: string;
}

/** What is picked from: a search's result, or as much of one. */
export interface PickSource {
  readonly front: readonly FrontPoint[];
  readonly header: { readonly objectives: StudyHeader['objectives'] };
  readonly baseline: Readonly<Record<string, number>> | undefined;
}

function minimisedFront({ front, header }: PickSource): number[][] {
  return front.map(({ values }) =>
    header.objectives.map(({ name, direction }) => (direction === 'maximize' ? -1 : 1) * values[name]!),
  );
}

function checkedFront(source: PickSource): number[][] {
  if (source.front.length === 0)
    throw new SearchError('empty-front', 'the front is empty: no trial satisfies the constraints', {});
  return minimisedFront(source);
}

/**
 * Picks one point of a search's front: the knee (the farthest below the plane through the front's extremes, Das 1999), the best of one objective within a
 * budget, or by weights.
 *
 * @throws SearchError `empty-front` if nothing is within the budget (the message names the nearest), `bad-constraint`, `no-baseline`
 * @example
 * pick(result).point; // the knee
 * pick(result, { budget: 'latency <= 0.6x' }).point; // the best other objective at 60 % of the baseline's latency
 */
export function pick(source: PickSource, options: PickOptions = {}): Choice {
  const texts =
    options.budget === undefined ? [] : typeof options.budget === 'string' ? [options.budget] : options.budget;
  const { front, header } = source;
  const recorded = new Set(front.flatMap(({ values }) => Object.keys(values)));
  const units = new Map<string, string | undefined>([...recorded].map((name) => [name, undefined]));
  for (const { name, unit } of header.objectives) units.set(name, unit);
  const bounds = texts.map((text) => resolveConstraint(parseConstraint(text, units), source.baseline));
  // A point whose value of something is not known (missing, null, NaN) is not within a bound on it.
  const within = front.filter(({ values }) => bounds.every((bound) => violation(bound, values) <= 0));
  if (within.length === 0) throw nothingWithin(front, bounds);
  const objective =
    options.optimize ??
    (bounds.length === 0
      ? undefined
      : header.objectives.find(({ name }) => !bounds.some((bound) => bound.name === name))?.name);
  const suffix = bounds.length === 0 ? '' : ` within ${texts.join(', ')}`;
  const points = checkedFront({ ...source, front: within });
  if (options.weights) {
    const weights = header.objectives.map(({ name }) => options.weights![name] ?? 0);
    const names = header.objectives.map(({ name }) => name);
    const stray = Object.keys(options.weights).find((name) => !names.includes(name));
    if (stray !== undefined || !weights.every((weight) => weight >= 0) || !weights.some((weight) => weight > 0)) {
      throw new SearchError(
        'invalid-option',
        `weights ${JSON.stringify(options.weights)}: give numbers ≥ 0, one at least > 0, for ${names.join(', ')}`,
        { weights: options.weights },
      );
    }
    return {
      point: within[chooseByWeights(points, weights)]!,
      rule: `weights ${JSON.stringify(options.weights)}${suffix}`,
    };
  }
  if (objective === undefined) return { point: within[kneePoint(points)]!, rule: `knee${suffix}` };
  const chosen = header.objectives.find(({ name }) => name === objective);
  if (!chosen) {
    throw new SearchError(
      'invalid-option',
      `cannot optimise "${objective}": the objectives are ${header.objectives.map(({ name }) => name).join(', ')}`,
      { objective },
    );
  }
  const sign = chosen.direction === 'maximize' ? -1 : 1;
  const point = within.reduce((best, other) =>
    sign * other.values[objective]! < sign * best.values[objective]! ? other : best,
  );
  return { point, rule: `best ${objective}${suffix}` };
}

function nothingWithin(front: readonly FrontPoint[], bounds: readonly Bound[]): SearchError {
  if (front.length === 0)
    return new SearchError('empty-front', 'the front is empty: no trial satisfies the constraints', {});
  const nearest = bounds.map(({ text, name, relation, bound }) => {
    const values = front.map((point) => point.values[name]).filter((value) => Number.isFinite(value)) as number[];
    const reached =
      values.length === 0
        ? `no point of the front has a number for it`
        : `the front reaches ${relation === '<=' ? Math.min(...values) : Math.max(...values)}`;
    return `"${text}" asks for ${name} ${relation} ${bound}, ${reached}`;
  });
  return new SearchError('empty-front', `no point of the front is within the budget: ${nearest.join('; ')}`, {
    bounds,
  });
}
