// Predictors of the measured objectives, fitted on everything measured so far.
import type { Space } from '../space.ts';
import { isComplete, type CompleteTrial } from '../study/trial.ts';
import { featuresOf } from './features.ts';
import { fitGaussianProcess } from './gaussian-process.ts';
import type { ProposeContext } from './tactic.ts';

/** A predictor to be fitted; those of @instatune/predictors are. */
export interface FittablePredictor {
  fit(X: number[][], y: number[]): unknown;
  predict(X: number[][]): ArrayLike<number>;
}

/** `auto`, or a function that makes a fresh predictor (then `resume` needs the tactic object again). */
export type PredictorChoice = 'auto' | (() => FittablePredictor);

/** Predicts what has to be measured and computes the rest. */
export interface Surrogate {
  /** All objectives and attributes of each candidate, by name. */
  values(batch: readonly (readonly number[])[]): Record<string, number>[];
  readonly info: Readonly<Record<string, unknown>>;
}

/** Fewer complete trials than this teach nothing. */
const LEAST_TRIALS = 4;

interface Model {
  readonly name: string;
  readonly info: string;
  predict(X: number[][]): ArrayLike<number>;
}

/**
 * Fits one predictor per measured objective. Values that a warm start trusts are training data too; where it does not trust an objective, that
 * study's prediction of it becomes a feature.
 *
 * @returns undefined while there is too little to learn from
 */
export function fitSurrogate({ space, trials, warm }: ProposeContext, choice: PredictorChoice): Surrogate | undefined {
  const own = trials.filter(isComplete);
  const keys = new Set(own.map(({ key }) => key));
  const models: Model[] = [];
  for (const { name } of space.measured) {
    const elsewhere = (warm?.trials ?? []).filter(({ values }) => Number.isFinite(values[name]));
    const trusted = warm?.trust.has(name) === true ? elsewhere.filter(({ key }) => !keys.has(key)) : [];
    const data = [...own, ...trusted];
    if (data.length < LEAST_TRIALS) return undefined;
    const prior = warm && !warm.trust.has(name) && elsewhere.length >= LEAST_TRIALS ? standardised(space, fit(space, name, elsewhere, choice), elsewhere) : undefined;
    models.push(fit(space, name, data, choice, prior));
  }
  return {
    values(batch) {
      const X = batch.map((genes) => featuresOf(space, genes));
      const values = batch.map((genes) => space.exact(genes));
      for (const { name, predict } of models) {
        const predicted = predict(X);
        values.forEach((value, index) => {
          value[name] = predicted[index]!;
        });
      }
      return values;
    },
    info: { predictors: Object.fromEntries(models.map(({ name, info }) => [name, info])) },
  };
}

type Feature = (X: number[][]) => number[];

function fit(space: Space, name: string, data: readonly CompleteTrial[], choice: PredictorChoice, prior?: Feature): Model {
  const X = data.map(({ genes }) => featuresOf(space, genes));
  const y = data.map(({ values }) => values[name]!);
  const extend = (rows: number[][]): number[][] => {
    if (!prior) return rows;
    const column = prior(rows);
    return rows.map((row, index) => [...row, column[index]!]);
  };
  if (typeof choice === 'function') {
    const predictor = choice();
    predictor.fit(extend(X), y);
    return { name, info: 'custom', predict: (rows) => predictor.predict(extend(rows)) };
  }
  const process = fitGaussianProcess(extend(X), y);
  return { name, info: `Gaussian process, length ${process.length}, noise ${process.noise}`, predict: (rows) => extend(rows).map((row) => process.predict(row)) };
}

/** How far a standardised prediction of the other study counts against one differing gene. */
const PRIOR_WEIGHT = 3;

/** Another study's prediction as a feature of about the size of a few genes. */
function standardised(space: Space, model: Model, data: readonly CompleteTrial[]): Feature {
  const values = Array.from(model.predict(data.map(({ genes }) => featuresOf(space, genes))));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) || 1;
  return (X) => Array.from(model.predict(X), (value) => (PRIOR_WEIGHT * (value - mean)) / deviation);
}
