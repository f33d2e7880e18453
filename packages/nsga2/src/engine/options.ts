// Options of the engine, checked and with defaults filled in.
import { Nsga2Error } from '../errors.ts';
import { count } from '../operators/check.ts';
import { defaultOperators, type OperatorOverrides } from '../operators/defaults.ts';
import type { Operators } from '../operators/operator.ts';
import type { Crowding } from '../survival/nsga2.ts';
import type { Sampler } from './mating.ts';

/** Where a candidate must not occur a second time. */
export type Duplicates = 'population' | 'history' | 'allow';

export interface EngineOptions {
  /** Individuals that survive a generation. @defaultValue 100 (NSGA-III: the number of directions) */
  readonly populationSize?: number | undefined;
  /** Children of a generation. @defaultValue populationSize */
  readonly offspring?: number | undefined;
  /** Seed of everything random. @defaultValue 0 */
  readonly seed?: number | undefined;
  /**
   * `population`: a child may not equal a member of the population or of its generation. `history`: nor anything ever
   * asked: no candidate is evaluated twice. `allow`: no check. @defaultValue 'population'
   */
  readonly duplicates?: Duplicates | undefined;
  /** Replaces operators by type of variable. */
  readonly operators?: OperatorOverrides | undefined;
  /** Candidates to start from; the rest of the first generation is sampled. @defaultValue [] */
  readonly initial?: readonly ArrayLike<number>[] | undefined;
  /** Samples the first generation. @defaultValue uniform */
  readonly sampler?: Sampler | undefined;
  /** Keeps every non-dominated feasible candidate ever seen, or at most `capacity`. @defaultValue false */
  readonly archive?: boolean | { readonly capacity: number } | undefined;
}

export interface Nsga2Options extends EngineOptions {
  /** How the last front is cut. @defaultValue 'standard' */
  readonly crowding?: Crowding | undefined;
}

/** Options with every default filled in. */
export interface ResolvedEngineOptions {
  readonly populationSize: number;
  readonly offspring: number;
  readonly seed: number;
  readonly duplicates: Duplicates;
  readonly operators: Operators;
  readonly initial: readonly ArrayLike<number>[];
  readonly sampler: Sampler | undefined;
  /** 0: none; Infinity: unbounded. */
  readonly archiveCapacity: number;
}

/** Checks the options. @throws Nsga2Error `invalid-option` */
export function resolveEngineOptions(options: EngineOptions, defaultSize: number = 100): ResolvedEngineOptions {
  const populationSize = count('populationSize', options.populationSize ?? defaultSize, 2);
  const duplicates = options.duplicates ?? 'population';
  if (!['population', 'history', 'allow'].includes(duplicates)) {
    throw new Nsga2Error('invalid-option', `duplicates is ${duplicates}: use population, history or allow`, {
      duplicates,
    });
  }
  const archive = options.archive ?? false;
  return {
    populationSize,
    offspring: count('offspring', options.offspring ?? populationSize),
    seed: options.seed ?? 0,
    duplicates,
    operators: defaultOperators(options.operators),
    initial: options.initial ?? [],
    sampler: options.sampler,
    archiveCapacity: typeof archive === 'object' ? count('archive.capacity', archive.capacity) : archive ? Infinity : 0,
  };
}
