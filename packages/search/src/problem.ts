// What is searched: genes, objectives (measured or exact), constraints, and how one candidate is measured.
import type { Variable } from '@instatune/nsga2';

type Values = Readonly<Record<string, number>>;

/** Handed to every measurement. */
export interface MeasureContext {
  /** Depends on the study's seed and the trial's number only, never on where or when it runs. */
  readonly seed: number;
  /** `search` while searching; another name when the result is measured again for the report: use other data then. */
  readonly split: string;
  readonly signal: AbortSignal;
  /** The trial's number in its study. */
  readonly number: number;
  /**
   * Says on the way what is measured by now: kept with the trial, and with `earlyStopping` a reason to end it. Rejects with a
   * {@link TrialStopped} where the trial is to end: let that pass (freeing what is held), and do nothing more.
   *
   * @param step what is done, in the problem's `steps`: rising numbers above 0
   * @param values measured objectives as they stand, by name, and whatever else is known
   */
  readonly report: (step: number, values: Values) => Promise<void>;
}

/** What ends a measurement whose trial was stopped early. */
export class TrialStopped extends Error {
  override readonly name = 'TrialStopped';
  readonly step: number;

  constructor(step: number) {
    super(`the trial was stopped after step ${step}: others are better, as far as it was measured`);
    this.step = step;
  }
}

/** An objective that costs: evaluated once per canonical candidate, and predicted in between. */
export interface MeasuredObjective {
  readonly name: string;
  readonly kind: 'measured';
  /** @defaultValue 'minimize' */
  readonly direction?: 'minimize' | 'maximize';
  readonly unit?: string;
  /** May be left out where the problem's `measure` gives this objective's value. */
  evaluate?(genes: readonly number[], context: MeasureContext): number | Promise<number>;
}

/** An objective that is computed (MACs, parameters, a latency table): cheap, exact, never predicted. */
export interface ExactObjective {
  readonly name: string;
  readonly kind: 'exact';
  /** @defaultValue 'minimize' */
  readonly direction?: 'minimize' | 'maximize';
  readonly unit?: string;
  evaluate(genes: readonly number[]): number;
}

export type Objective = MeasuredObjective | ExactObjective;

/** A computed quantity that is not optimised: recorded with every trial, and open to constraints. */
export interface Attribute {
  readonly name: string;
  readonly unit?: string;
  evaluate(genes: readonly number[]): number;
}

/**
 * A constraint whose value is measured, as objectives are: it is kept where the value is 0 or less (Optuna's `constraints_func`, pymoo's `G`). Not
 * optimised; candidates that keep all of them come before those that overstep some (Deb et al. 2002, section VI).
 */
export interface MeasuredConstraint {
  readonly name: string;
  /** May be left out where the problem's `measure` gives the value, by the name. */
  evaluate?(genes: readonly number[], context: MeasureContext): number | Promise<number>;
}

/**
 * A search problem. Genes are numbers in the order of `space`.
 *
 * @example
 * const problem: SearchProblem = {
 *   name: 'two-knobs',
 *   space: [integer(0, 9), integer(0, 9)],
 *   objectives: [
 *     { name: 'loss', kind: 'measured', evaluate: async ([a, b]) => (9 - a!) ** 2 + (9 - b!) ** 2 },
 *     { name: 'cost', kind: 'exact', evaluate: ([a, b]) => a! + b! },
 *   ],
 * };
 */
export interface SearchProblem {
  readonly name: string;
  readonly space: readonly Variable[];
  /** In a fixed order: columns of the front, of the hypervolume and of every export. */
  readonly objectives: readonly Objective[];
  readonly attributes?: readonly Attribute[];
  /** Measures all measured objectives at once; further values it returns are recorded too, and open to budgets (never satisfied by null or NaN). */
  measure?(genes: readonly number[], context: MeasureContext): Values | Promise<Values>;
  /** Steps of a whole measurement (batches of validation, epochs), where it reports on its way: what `context.report` counts. */
  readonly steps?: number;
  /** Which genes matter for this candidate (a layer beyond the depth does not). @defaultValue all */
  active?(genes: readonly number[]): readonly boolean[];
  /** The one representative of all equal candidates. @defaultValue unused genes set to their variable's first value */
  canonical?(genes: readonly number[]): readonly number[];
  /** E.g. "latency <= 20", "macs <= 0.6x", "accuracy >= baseline - 1%". */
  readonly constraints?: readonly string[];
  /** Constraints that are measured, each kept where its value is 0 or less. Kept among a trial's values as `constraint NAME`. */
  readonly inequality?: readonly MeasuredConstraint[];
  /** The candidate that relative constraints and budgets refer to, measured first. Usually the full model. */
  readonly baseline?: readonly number[];
  /** Hypervolume reference by objective name, in its own direction. @defaultValue the first round's worst plus a tenth of its range */
  readonly reference?: Values;
  /** What a person calls this candidate: shown in reports and exports. */
  describe?(genes: readonly number[]): Readonly<Record<string, unknown>>;
  /** Frees what measuring holds. Called by whoever loaded the problem (a queue worker, the command line), never by `runSearch`. */
  dispose?(): void | Promise<void>;
}
