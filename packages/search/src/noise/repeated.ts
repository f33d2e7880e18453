// A problem whose measurements are repeated where that decides something: means with their standard errors.
import { Random } from '@instatune/nsga2';
import { SearchError } from '../errors.ts';
import { checkNames } from '../nearest.ts';
import type { MeasureContext, SearchProblem } from '../problem.ts';
import { Space } from '../space.ts';
import { isComplete, type Trial } from '../study/trial.ts';
import { errorName, nonDominatedProbabilities, standardErrors, type UncertainPoint } from './uncertainty.ts';

/** Options of {@link repeated}. */
export interface RepeatOptions {
  /** Measurements of every candidate; two are needed to tell an error. @defaultValue 2 */
  readonly least?: number;
  /** Measurements of a candidate at most. @defaultValue 8 */
  readonly most?: number;
  /** A candidate is measured again while the probability that it is on the front lies between this and 1 less this. @defaultValue 0.05 */
  readonly doubt?: number;
  /** Trials that are known: the front that candidates are held against from the start, e.g. of the study that is resumed. @defaultValue none */
  readonly known?: readonly Trial[];
}

type Values = Readonly<Record<string, number>>;

/**
 * The same problem, measured several times where measurements are noisy. Every candidate is measured `least` times, and again while it is in doubt
 * whether it lies on the front of what this problem object has measured: what is clearly dominated, or clearly on the front, is not. Each
 * measurement has a seed of its own. Values are means; beside each measured objective stands its standard error, `NAME ±`, which tables, the report
 * and the view show; `measurements` says how many there were.
 *
 * How often a candidate is measured depends on what was measured before it, so several at a time (threads, processes) may give other means than one at
 * a time.
 *
 * @throws SearchError `invalid-option`
 * @example
 * const { study } = await runSearch(repeated(problem, { most: 6 }), { evaluations: 100 });
 */
export function repeated(problem: SearchProblem, options: RepeatOptions = {}): SearchProblem {
  checkNames('repeated', options, ['least', 'most', 'doubt', 'known']);
  const { least = 2, most = 8, doubt = 0.05, known = [] } = options;
  if (!Number.isInteger(least) || least < 2 || !Number.isInteger(most) || most < least)
    throw new SearchError(
      'invalid-option',
      `least is ${least} and most ${most}: use whole numbers, 2 <= least <= most`,
      {
        least,
        most,
      },
    );
  if (!(doubt > 0 && doubt < 0.5))
    throw new SearchError('invalid-option', `doubt is ${doubt}: use a number between 0 and 0.5`, { doubt });
  const space = new Space(problem);
  const front = new Map<string, UncertainPoint>();
  for (const trial of known) if (isComplete(trial)) front.set(trial.key, pointOf(space, trial.values));
  return {
    ...problem,
    objectives: problem.objectives.map((objective) => {
      if (objective.kind === 'exact') return objective;
      const { name, kind, direction, unit } = objective;
      return { name, kind, ...(direction && { direction }), ...(unit !== undefined && { unit }) };
    }),
    ...(problem.inequality ? { inequality: problem.inequality.map(({ name }) => ({ name })) } : {}),
    async measure(genes, context) {
      const all: Values[] = [];
      const key = space.key(space.canonical(genes));
      const others = [...front].filter(([other]) => other !== key).map(([, point]) => point);
      let summary: Record<string, number> = {};
      while (all.length < most && (all.length < least || inDoubt(space, genes, summary, others, doubt))) {
        context.signal.throwIfAborted();
        all.push(await measureOnce(problem, space, genes, context, all.length));
        summary = summarise(space, all);
      }
      front.set(key, pointOf(space, { ...space.exact(genes), ...summary }));
      return summary;
    },
  };
}

/** Seed of each repeat: the trial's own first, so that a problem without noise is measured as it would be. */
function measureOnce(
  problem: SearchProblem,
  space: Space,
  genes: readonly number[],
  context: MeasureContext,
  repeat: number,
): Promise<Values> {
  const seed = repeat === 0 ? context.seed : new Random(context.seed + repeat).integer(0, 2 ** 31 - 1);
  return measureValues(problem, space, genes, { ...context, seed });
}

async function measureValues(
  problem: SearchProblem,
  space: Space,
  genes: readonly number[],
  context: MeasureContext,
): Promise<Values> {
  const values: Record<string, number> = { ...(await problem.measure?.(genes, context)) };
  for (const objective of space.measured)
    if (objective.evaluate) values[objective.name] = await objective.evaluate(genes, context);
  for (const constraint of problem.inequality ?? [])
    if (constraint.evaluate) values[constraint.name] = await constraint.evaluate(genes, context);
  return values;
}

/** Means of all numbers, standard errors of the objectives. */
function summarise(space: Space, all: readonly Values[]): Record<string, number> {
  const names = new Set(all.flatMap((values) => Object.keys(values)));
  const summary: Record<string, number> = {};
  for (const name of names) {
    const values = all.map((each) => each[name]!);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    summary[name] = mean;
    if (!space.measured.some((objective) => objective.name === name)) continue;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    if (values.length > 1) summary[errorName(name)] = Math.sqrt(squares / (values.length - 1) / values.length);
  }
  return { ...summary, measurements: all.length };
}

function pointOf(space: Space, values: Values): UncertainPoint {
  const errors = standardErrors(values);
  return {
    mean: space.minimised(values),
    error: space.problem.objectives.map(({ name }) => errors[name] ?? 0),
  };
}

/** Whether more measurements might change the front. A mean that is no number is the evaluator's to refuse. */
function inDoubt(
  space: Space,
  genes: readonly number[],
  summary: Values,
  others: readonly UncertainPoint[],
  doubt: number,
): boolean {
  const own = pointOf(space, { ...space.exact(genes), ...summary });
  if (!own.mean.every(Number.isFinite) || own.error.every((error) => error === 0)) return false;
  const [probability = 0] = nonDominatedProbabilities([own, ...others]);
  return probability > doubt && probability < 1 - doubt;
}
