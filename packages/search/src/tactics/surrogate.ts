// Predictors of the measured objectives, fitted on everything measured so far.
import { PredictorError, type Model as Fitted, type Regressor } from '@instatune/predictors';
import { Random } from '@instatune/nsga2';
import { isConstraintBound } from '../given/constraint-values.ts';
import { widthOf } from '../range.ts';
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial } from '../study/trial.ts';
import { encoderOf, featuresOf } from './features.ts';
import { expectedTrials } from './partial.ts';
import { regressorOf, type PredictorChoice } from './predictor.ts';
import { MOST_ROWS, trainingTrials } from './training.ts';
import type { ProposeContext } from './tactic.ts';

/** Predicts what has to be measured and computes the rest. */
export interface Surrogate {
  /** All objectives, attributes and measured constraints of each candidate, by name. */
  values(batch: readonly (readonly number[])[]): Record<string, number>[];
  /** Deviations of each candidate's objectives in their order, 0 for exact ones; undefined where a predictor has none. */
  deviations(batch: readonly (readonly number[])[]): readonly (readonly number[])[] | undefined;
  readonly info: Readonly<Record<string, unknown>>;
}

/** Fewer complete trials than this teach nothing. */
const LEAST_TRIALS = 4;

interface Model {
  readonly name: string;
  readonly info: Readonly<Record<string, unknown>>;
  predict(X: readonly Float64Array[]): Float64Array;
  /** Undefined where the regressor gives none. */
  deviations(X: readonly Float64Array[]): Float64Array | undefined;
}

interface Fitting {
  readonly space: Space;
  readonly choice: PredictorChoice;
  readonly trend: boolean;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Fits one predictor per measured objective, and one per constraint that the problem measures. Values that a warm start trusts are training data too; where it does not trust an objective, that
 * study's prediction of it becomes a feature.
 *
 * @returns undefined while there is too little to learn from
 */
export async function fitSurrogate(
  { space, trials, bounds, warm, random, signal, effort = 1 }: ProposeContext,
  choice: PredictorChoice,
  { trend = false }: { readonly trend?: boolean } = {},
): Promise<Surrogate | undefined> {
  const own = [...trials.filter(isComplete), ...expectedTrials(space, trials)].sort((a, b) => a.number - b.number);
  const keys = new Set(own.map(({ key }) => key));
  const fitting: Fitting = { space, choice, trend, seed: random.uint32(), signal };
  const models: Model[] = [];
  const drawing = new Random(fitting.seed);
  // The time of a fit grows faster than its rows.
  const most = Math.round(MOST_ROWS * Math.sqrt(effort));
  const chosen = trainingTrials(space, own, drawing, most);
  for (const { name } of space.measured) {
    const elsewhere = (warm?.trials ?? []).filter(({ values }) => Number.isFinite(values[name]));
    const trusted = warm?.trust.has(name) === true ? elsewhere.filter(({ key }) => !keys.has(key)) : [];
    const data = [...chosen, ...trusted.slice(0, Math.max(0, most - chosen.length))];
    if (data.length < LEAST_TRIALS) return undefined;
    const useful = warm && !warm.trust.has(name) && elsewhere.length >= LEAST_TRIALS;
    const there = useful ? trainingTrials(space, elsewhere, drawing) : [];
    const prior = useful ? standardised(space, await fit(fitting, name, there), there) : undefined;
    models.push(await fit(fitting, name, data, prior));
  }
  for (const { name } of bounds.filter((bound) => isConstraintBound(bound) && !bound.optional)) {
    const data = chosen.filter(({ values }) => Number.isFinite(values[name]));
    models.push(data.length < LEAST_TRIALS ? unknown(name, data.length) : await fit(fitting, name, data));
  }
  return {
    values(batch) {
      const X = batch.map((genes) => featuresOf(space, genes));
      const values = batch.map((genes) => space.exact(genes));
      for (const model of models) {
        const predicted = model.predict(X);
        values.forEach((value, index) => {
          value[model.name] = predicted[index]!;
        });
      }
      return values;
    },
    deviations(batch) {
      const X = batch.map((genes) => featuresOf(space, genes));
      const byName = new Map(models.map((model) => [model.name, model.deviations(X)]));
      if ([...byName.values()].includes(undefined)) return undefined;
      return batch.map((_, index) => space.problem.objectives.map(({ name }) => byName.get(name)?.[index] ?? 0));
    },
    info: { predictors: Object.fromEntries(models.map(({ name, info }) => [name, info])) },
  };
}

type Feature = (X: readonly Float64Array[]) => Float64Array;

async function fit(
  { space, choice, trend, seed, signal }: Fitting,
  name: string,
  data: readonly CompleteTrial[],
  prior?: Feature,
): Promise<Model> {
  const extend = (rows: readonly Float64Array[]): readonly Float64Array[] => {
    if (!prior) return rows;
    const column = prior(rows);
    return rows.map((row, index) => Float64Array.of(...row, column[index]!));
  };
  const { groups } = encoderOf(space);
  const regressor: Regressor = regressorOf(choice, prior ? [...groups, space.genes.length] : groups, trend);
  const model = await regressor.fitAsync(
    extend(data.map(({ genes }) => featuresOf(space, genes))),
    data.map(({ values }) => values[name]!),
    { seed, ...(signal ? { signal } : {}) },
  );
  return {
    name,
    info: describe(model, data.length),
    predict: (rows) => model.predict(extend(rows)),
    deviations(rows) {
      try {
        return model.predictWithStd(extend(rows)).std;
      } catch (error) {
        if (error instanceof PredictorError && error.code === 'no-std') return undefined;
        throw error;
      }
    },
  };
}

/** What is not known yet is taken to be kept. */
const unknown = (name: string, rows: number): Model => ({
  name,
  info: { rows },
  predict: (X) => new Float64Array(X.length),
  deviations: (X) => new Float64Array(X.length),
});

/** What the study keeps of a fit. */
function describe(model: Fitted, rows: number): Readonly<Record<string, unknown>> {
  const { noise, chosen } = model as Fitted & { readonly noise?: unknown; readonly chosen?: unknown };
  return {
    kind: model.kind,
    rows,
    ...(typeof noise === 'number' ? { noise } : {}),
    ...(typeof chosen === 'string' ? { chosen } : {}),
  };
}

/** How far a standardised prediction of the other study counts against one differing gene. */
const PRIOR_WEIGHT = 3;

/** Another study's prediction as a feature of about the size of a few genes. */
function standardised(space: Space, model: Model, data: readonly CompleteTrial[]): Feature {
  const values = model.predict(data.map(({ genes }) => featuresOf(space, genes)));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const width = widthOf(
    values.reduce((a, b) => Math.min(a, b)),
    values.reduce((a, b) => Math.max(a, b)),
  );
  // It predicts the same for all: that says nothing of any.
  if (width === 0) return (X) => new Float64Array(X.length);
  const deviation = width * Math.sqrt(values.reduce((a, b) => a + ((b - mean) / width) ** 2, 0) / values.length);
  return (X) => model.predict(X).map((value) => (PRIOR_WEIGHT * (value - mean)) / deviation);
}
