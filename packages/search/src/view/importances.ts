// What each variable is worth: functional ANOVA of a random forest of one objective (Hutter, Hoos and Leyton-Brown 2014).
import { randomForest, type ColumnDomain } from '@instatune/predictors';
import { measuredTrials } from './front.ts';
import type { StudyView, ViewTrial, ViewVariable } from './data.ts';

/** Of an objective's variance over the whole space, the share that a variable causes by itself. */
export interface Importance {
  readonly name: string;
  readonly share: number;
}

export interface Importances {
  /** Largest first. */
  readonly variables: readonly Importance[];
  /** What variables cause only together. */
  readonly together: number;
}

/** Of that many the newest are learnt from: more make a forest slow, and no clearer. */
const MOST_TRIALS = 2000;
const LEAST_TRIALS = 8;
const TREES = 64;
/** Values that are listed one by one; more are as good as an interval. */
const MOST_LISTED = 4096;

interface Column {
  readonly variable: number;
  readonly domain: ColumnDomain;
  value(trial: ViewTrial): number;
}

/** Columns of a variable: one, or the place of each item of a permutation. */
function columnsOf(variable: ViewVariable, index: number, sample: ViewTrial | undefined): readonly Column[] {
  const { name, bounds, values } = variable;
  if (values) {
    const places = new Map(values.map((value, place) => [value, place]));
    return [
      {
        variable: index,
        domain: { values: values.map((_, place) => place) },
        value: (trial) => places.get(trial.values[name] as string) ?? 0,
      },
    ];
  }
  const first = sample?.values[name];
  if (Array.isArray(first)) {
    const order = first as readonly number[];
    return order.map((_, item) => ({
      variable: index,
      domain: { values: order.map((__, place) => place) },
      value: (trial) => (trial.values[name] as readonly number[] | undefined)?.indexOf(item) ?? item,
    }));
  }
  const [lower, upper] = bounds ?? [0, 1];
  const { scale, step = variable.kind === 'integer' ? 1 : undefined } = variable;
  const place = scale === 'log' ? Math.log : (value: number) => value;
  const count = step === undefined ? Infinity : Math.floor((upper - lower) / step + 1e-9) + 1;
  const listed = scale !== 'log' && count <= MOST_LISTED;
  return [
    {
      variable: index,
      domain: listed
        ? { values: Array.from({ length: count }, (_, i) => lower + i * step!) }
        : { lower: place(lower), upper: place(upper) },
      // One whose condition does not hold has its first value, as in the search.
      value: (trial) => {
        const value = Number(trial.values[name]);
        return place(Number.isFinite(value) ? value : lower);
      },
    },
  ];
}

/**
 * Importances of all variables for one objective; nothing until a few trials are measured.
 *
 * @throws PredictorError `aborted`
 */
export async function importancesOf(
  view: StudyView,
  objective: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Importances | undefined> {
  const trials = measuredTrials(view).slice(-MOST_TRIALS);
  if (trials.length < LEAST_TRIALS) return undefined;
  const columns = view.variables.flatMap((variable, index) =>
    columnsOf(
      variable,
      index,
      trials.find(({ values }) => values[variable.name] !== undefined),
    ),
  );
  const model = await randomForest({ trees: TREES }).fitAsync(
    trials.map((trial) => columns.map((column) => column.value(trial))),
    trials.map((trial) => trial.objectives[objective]!),
    { seed: 1, ...options },
  );
  const shares = model.importances(columns.map(({ domain }) => domain));
  const sums = view.variables.map(() => 0);
  columns.forEach(({ variable }, column) => (sums[variable]! += shares[column]!));
  const all = sums.reduce((a, b) => a + b, 0);
  return {
    variables: view.variables
      .map(({ name }, index) => ({ name, share: sums[index]! }))
      .sort((a, b) => b.share - a.share),
    // A constant objective has no causes, neither alone nor together.
    together: all > 0 ? Math.max(0, 1 - all) : 0,
  };
}
