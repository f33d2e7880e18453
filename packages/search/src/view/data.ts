// What a person looks at of a study, as plain JSON-able data: variables and trials by name, no code, no genes.
import type { Variable } from '@instatune/nsga2';
import type { Bound } from '../constraints.ts';
import { ConstraintSet } from '../run/constraint-set.ts';
import { referencePoint } from '../run/front.ts';
import { errorName, standardErrors } from '../noise/uncertainty.ts';
import { parseSettings } from '../run/options.ts';
import { viewOf } from '../run/study-view.ts';
import { Space } from '../space.ts';
import { variableNames, variableValues } from '../study/labels.ts';
import type { Study } from '../study/study.ts';
import type { Trial } from '../study/trial.ts';

/** A value as it is shown, drawn and filtered. */
export type ViewValue = number | string | boolean | readonly number[];

/** One variable: what it may be. */
export interface ViewVariable {
  readonly name: string;
  readonly kind: Variable['type'];
  /** Of numbers: the least and the greatest value. */
  readonly bounds?: readonly [number, number];
  readonly scale?: 'log';
  readonly step?: number;
  /** Of choices: every one, in order. */
  readonly values?: readonly (string | number | boolean)[];
}

export interface ViewObjective {
  readonly name: string;
  readonly unit?: string;
  readonly direction: 'minimize' | 'maximize';
}

/** One trial, values by name. */
export interface ViewTrial {
  readonly number: number;
  readonly state: string;
  /** A variable whose condition does not hold has none. */
  readonly values: Readonly<Record<string, ViewValue>>;
  /** Objectives first, then whatever else was measured; what is no finite number is left out. Empty until the trial is complete. */
  readonly objectives: Readonly<Record<string, number>>;
  readonly standardErrors?: Readonly<Record<string, number>>;
  readonly round?: number;
  readonly origin?: string;
  readonly seconds?: number;
  readonly error?: string;
}

/** A study to look at: what `mountStudy` draws, from whatever tool it comes. */
export interface StudyView {
  readonly name: string;
  readonly problem?: string;
  readonly tactic?: string;
  readonly seed?: number;
  readonly variables: readonly ViewVariable[];
  readonly objectives: readonly ViewObjective[];
  /** Those that have a number by now. */
  readonly constraints: readonly Bound[];
  /** In order of proposal. */
  readonly trials: readonly ViewTrial[];
  /** Hypervolume reference by objective name, in its own direction. */
  readonly reference?: Readonly<Record<string, number>>;
}

/** The parts of a study that a view is made of. */
export type StudyData = Pick<Study, 'header' | 'trials' | 'reference'>;

/**
 * A view of a study that is open, read, or as it is in the middle of a search.
 *
 * @example
 * const { study } = await runSearch(problem, { evaluations: 250 });
 * mountStudy(document.body, toStudyView(study));
 */
export function toStudyView(study: StudyData): StudyView {
  const { header, trials } = study;
  const variables = header.space as unknown as readonly Variable[];
  const names = variableNames(variables);
  const space = new Space(viewOf(study as Study));
  const reference = study.reference ?? referencePoint(space, trials);
  return {
    name: header.name,
    problem: header.problem,
    tactic: header.tactic,
    seed: header.seed,
    variables: variables.map((variable, index) => viewVariable(variable, names[index]!)),
    objectives: header.objectives.map(({ name, unit, direction }) => ({
      name,
      direction,
      ...(unit === undefined ? {} : { unit }),
    })),
    constraints: boundsOf(study as Study, space),
    trials: trials.map((trial) => viewTrial(trial, variables, names)),
    ...(reference ? { reference: space.named(reference) } : {}),
  };
}

/** A study that is only looked at is shown without constraints that cannot be read, rather than not at all. */
function boundsOf(study: Study, space: Space): readonly Bound[] {
  try {
    return new ConstraintSet(space, parseSettings(study).constraints).bounds(study.trials);
  } catch {
    return [];
  }
}

const shownChoice = (value: unknown): string | number | boolean =>
  typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string' ? value : JSON.stringify(value);

function viewVariable(variable: Variable, name: string): ViewVariable {
  switch (variable.type) {
    case 'categorical':
    case 'ordinal':
      return { name, kind: variable.type, values: variable.values.map(shownChoice) };
    case 'boolean':
      return { name, kind: variable.type, values: [false, true] };
    case 'permutation':
      return { name, kind: variable.type };
    default: {
      const { type, lower, upper, scale, step } = variable;
      const optional = { ...(scale === 'log' ? { scale } : {}), ...(step === undefined ? {} : { step }) };
      return { name, kind: type, bounds: [lower, upper], ...optional };
    }
  }
}

function viewTrial(trial: Trial, variables: readonly Variable[], names: readonly string[]): ViewTrial {
  const values = variableValues(variables, trial.genes);
  const errors = standardErrors(trial.values ?? {});
  const own = new Set(Object.keys(errors).map(errorName));
  const numbers = Object.entries(trial.values ?? {}).filter(
    ([name, value]) => Number.isFinite(value) && !own.has(name),
  );
  return {
    number: trial.number,
    state: trial.status,
    values: Object.fromEntries(
      names.flatMap((name, index): [string, ViewValue][] => {
        const value = values[index];
        if (value === undefined) return [];
        return [[name, Array.isArray(value) ? (value as number[]) : shownChoice(value)]];
      }),
    ),
    objectives: Object.fromEntries(numbers),
    ...(own.size > 0 ? { standardErrors: errors } : {}),
    round: trial.round,
    origin: trial.origin,
    ...(trial.durationMs === undefined ? {} : { seconds: trial.durationMs / 1000 }),
    ...(trial.error === undefined ? {} : { error: trial.error }),
  };
}
