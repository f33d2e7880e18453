// Individuals, candidates and variables to JSON and back; Infinity has no JSON form, so it is written as null.
import type { Variable } from '../variables.ts';
import type { Slot } from './evolution.ts';
import type { Individual, Population } from './population.ts';
import type { SavedCandidate, SavedIndividual, SavedVariable } from './state.ts';

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
