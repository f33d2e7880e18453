// The parts of an engine's state to JSON and back; Infinity has no JSON form, so it is written as null.
import { Nsga2Error } from '../errors.ts';
import type { Problem } from '../problem.ts';
import type { Variable } from '../variables.ts';
import type { ResolvedEngineOptions } from './options.ts';
import type { Individual, Population } from './population.ts';
import type { Slot } from './slots.ts';
import type { EngineState, SavedCandidate, SavedIndividual, SavedVariable } from './state.ts';

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

export function saveIndividual(individual: Individual): SavedIndividual {
  const { id, genes, objectives, violation, rank, crowding } = individual;
  return {
    id,
    genes,
    objectives: violation === Infinity ? null : objectives,
    violation: finite(violation),
    rank,
    crowding: finite(crowding),
  };
}

export function restoreIndividual(population: Population, saved: SavedIndividual): void {
  const row = population.add(saved.id, saved.genes, saved.objectives ?? [], saved.violation ?? Infinity);
  population.ranks[row] = saved.rank;
  population.crowding[row] = saved.crowding ?? Infinity;
}

export function saveCandidate({ id, genes, told }: Slot): SavedCandidate {
  if (!told) return { id, genes };
  const failed = told.violation === Infinity;
  return {
    id,
    genes,
    told: { objectives: failed ? null : Array.from(told.objectives), violation: finite(told.violation) },
  };
}

/** One that was asked and not told is asked again. */
export function restoreCandidate({ id, genes, told }: SavedCandidate): Slot {
  return {
    id,
    genes: [...genes],
    asked: told !== undefined,
    told: told && { objectives: told.objectives ?? [], violation: told.violation ?? Infinity },
  };
}

export function saveOptions(options: ResolvedEngineOptions): EngineState['options'] {
  const { populationSize, offspring, seed, duplicates, archiveCapacity } = options;
  return {
    populationSize,
    offspring,
    seed,
    duplicates,
    operators: operatorNames(options),
    archiveCapacity: archiveCapacity === Infinity ? null : archiveCapacity,
  };
}

/** @throws Nsga2Error `invalid-state` where a state was saved with other operators: functions are not saved */
export function assertOperators({ options: saved }: EngineState, options: ResolvedEngineOptions): void {
  for (const [type, names] of Object.entries(operatorNames(options))) {
    const expected = saved.operators[type]!;
    if (names.join() === expected.join()) continue;
    throw new Nsga2Error(
      'invalid-state',
      `the state was saved with ${type} operators ${expected.join(', ')}, not ${names.join(', ')}: pass the same`,
      { field: `options.operators.${type}`, type, expected, actual: names },
    );
  }
}

function operatorNames({ operators }: ResolvedEngineOptions): Record<string, readonly [string, string]> {
  return Object.fromEntries(
    Object.entries(operators).map(([type, pair]) => [type, [pair.crossover.name, pair.mutation.name] as const]),
  );
}

export function saveProblem({ variables, objectives, inequality = 0, equality = 0 }: Problem): EngineState['problem'] {
  return { variables: variables.map(savedVariable), objectives, inequality, equality };
}

export function savedVariable(variable: Variable): SavedVariable {
  switch (variable.type) {
    case 'categorical':
    case 'ordinal':
      return { type: variable.type, count: variable.values.length };
    case 'boolean':
      return { type: 'boolean' };
    case 'permutation':
      return { type: 'permutation', length: variable.length };
    default:
      return {
        type: variable.type,
        lower: variable.lower,
        upper: variable.upper,
        ...(variable.scale === 'log' ? { scale: 'log' } : {}),
        ...(variable.step === undefined ? {} : { step: variable.step }),
      };
  }
}
