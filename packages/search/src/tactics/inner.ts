// The inner search: NSGA-II over predictions and exact values only, started afresh every round.
import { minimize, Nsga2Error, Random, type Genes } from '@instatune/nsga2';
import { violation, type Bound } from '../constraints.ts';
import type { Space } from '../space.ts';
import type { Feasibility } from './feasibility.ts';
import type { Surrogate } from './surrogate.ts';

export interface InnerOptions {
  readonly space: Space;
  readonly surrogate: Surrogate;
  readonly bounds: readonly Bound[];
  /** Candidates that can hardly be measured are outside, too. Searched once for each of its levels, the evaluations shared. */
  readonly feasibility?: Feasibility | undefined;
  /** What to minimise of a candidate's values. @defaultValue the problem's objectives */
  readonly objectives?: (values: Readonly<Record<string, number>>) => readonly number[];
  readonly evaluations: number;
  readonly population: number;
  readonly seed: number;
  readonly initial: readonly (readonly number[])[];
  readonly signal: AbortSignal | undefined;
}

/** A candidate with what is predicted for it. */
export interface Predicted {
  readonly genes: readonly number[];
  readonly key: string;
  /** Minimised. */
  readonly objectives: readonly number[];
  /** Of the bounds, in their sizes; 0 inside. */
  readonly violation: number;
  /** Probability that it can be measured, where failures have told something of it. */
  readonly likely?: number;
  /** How many of the classifier's levels it reaches: what is unlikely competes with its like only. @defaultValue 0 */
  readonly level?: number;
}

/**
 * Every candidate the inner search looked at, once each, but for those less likely to be measured than any level asks.
 *
 * @throws what the problem's functions and the predictors throw
 */
export async function innerSearch(options: InnerOptions): Promise<readonly Predicted[]> {
  const looked = new Map<string, Predicted>();
  const { feasibility, evaluations, seed } = options;
  if (!feasibility) await searchInto(looked, options, undefined);
  else {
    const { levels } = feasibility;
    const share = Math.max(1, Math.floor(evaluations / levels.length));
    for (const [index, needed] of levels.entries())
      await searchInto(looked, { ...options, evaluations: share, seed: seed + index }, needed);
  }
  return [...looked.values()].filter(({ level = 1 }) => level > 0);
}

/** What is predicted for each candidate. */
export function predict(
  {
    space,
    surrogate,
    bounds,
    feasibility,
    objectives: minimised = (values) => space.minimised(values),
  }: Pick<InnerOptions, 'space' | 'surrogate' | 'bounds' | 'feasibility' | 'objectives'>,
  batch: readonly (readonly number[])[],
): readonly (Predicted & { readonly inequality: readonly number[] })[] {
  const values = surrogate.values(batch);
  const likely = feasibility?.probabilities(batch);
  const levelOf = (p: number): number => feasibility?.levels.filter((level) => p >= level).length ?? 0;
  return batch.map((genes, index) => {
    const inequality = bounds.map((bound) => violation(bound, values[index]!));
    return {
      genes,
      key: space.key(genes),
      objectives: minimised(values[index]!),
      violation: inequality.reduce((sum, g) => sum + Math.max(0, g), 0),
      inequality,
      ...(likely ? { likely: likely[index]!, level: levelOf(likely[index]!) } : {}),
    };
  });
}

/** @param needed probability that a candidate inside needs */
async function searchInto(
  looked: Map<string, Predicted>,
  options: InnerOptions,
  needed: number | undefined,
): Promise<void> {
  const { space, bounds, evaluations, population, seed, initial, signal } = options;
  await minimize(
    {
      name: space.problem.name,
      variables: space.problem.space,
      objectives: predict(options, [space.sample(new Random(seed))])[0]!.objectives.length,
      inequality: bounds.length + Number(needed !== undefined),
      canonical(genes) {
        const canonical = space.canonical(Array.from(genes));
        for (let i = 0; i < genes.length; i++) genes[i] = canonical[i]!;
      },
      evaluate() {
        throw new Error('evaluated in batches');
      },
      evaluateBatch(batch: readonly Genes[]) {
        return predict(options, batch).map(({ inequality, ...predicted }) => {
          const { key, objectives, likely } = predicted;
          if (!looked.has(key)) looked.set(key, predicted);
          const outside = likely !== undefined && needed !== undefined ? [needed - likely] : [];
          return { objectives, inequality: [...inequality, ...outside] };
        });
      },
    },
    { populationSize: population, maxEvaluations: evaluations, seed, initial, ...(signal ? { signal } : {}) },
  ).catch((error: unknown) => {
    // Nothing of this run is worth its state: the error itself says what is wrong with the problem.
    throw error instanceof Nsga2Error && error.code !== 'aborted' && error.cause !== undefined ? error.cause : error;
  });
}
