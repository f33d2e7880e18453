// What a crossover and a mutation are: functions over the genes of one group, in place.
import type { GeneGroup } from '../layout.ts';
import type { Random } from '../random.ts';
import type { OperatorType } from '../variables.ts';

/** Recombines two genomes, which arrive as copies of the parents and leave as the children. */
export interface Crossover {
  readonly name: string;
  /** Changes only `group.positions` of both genomes, and keeps each gene in range; genes are checked after every call. */
  cross(first: Float64Array, second: Float64Array, group: GeneGroup, random: Random): void;
}

export interface MutationContext {
  /** 1 / number of genes that can change in the whole genome; operators use it where no rate was given. */
  readonly rate: number;
  /** True when nothing else in the genome changed: change at least one gene. */
  readonly atLeastOne: boolean;
}

/** Changes a genome a little. */
export interface Mutation {
  readonly name: string;
  /**
   * Changes only `group.positions`, and keeps each gene in range; genes are checked after every call.
   *
   * @returns how many genes changed
   */
  mutate(genes: Float64Array, group: GeneGroup, random: Random, context: MutationContext): number;
}

/** The pair for one type of variable. */
export interface OperatorPair {
  readonly crossover: Crossover;
  readonly mutation: Mutation;
}

/** Operators by type of variable. On a log scale they see logarithms, with steps the number of the step. */
export type Operators = Readonly<Record<OperatorType, OperatorPair>>;
