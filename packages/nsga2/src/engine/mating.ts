// Offspring: tournament, crossover, mutation, repair, canonical form, duplicate check.
import { assertGenes, sampleUniform, type GeneLayout } from '../layout.ts';
import { Nsga2Error } from '../errors.ts';
import type { Operators } from '../operators/operator.ts';
import type { Problem } from '../problem.ts';
import type { Random } from '../random.ts';
import type { Survival } from '../survival/survival.ts';
import type { GeneSet } from './gene-set.ts';
import type { Population } from './population.ts';

/** Children tried per child wanted before random candidates are tried instead. */
const MATING_ATTEMPTS = 50;
/** Random candidates tried per child wanted before the generation goes on with fewer children. */
const RANDOM_ATTEMPTS = 50;

/** Fills a genome with an initial candidate. */
export type Sampler = (layout: GeneLayout, genes: Float64Array, random: Random, index: number, count: number) => void;

export interface MatingContext {
  readonly problem: Problem;
  readonly layout: GeneLayout;
  readonly operators: Operators;
  readonly survival: Survival;
  readonly random: Random;
  /** Genomes that must not come again; offspring are added to it. Undefined: duplicates are allowed. */
  readonly known: GeneSet | undefined;
}

/** Repairs, brings to canonical form and checks a genome in place. */
export function normalise({ problem, layout }: Pick<MatingContext, 'problem' | 'layout'>, genes: Float64Array): void {
  problem.repair?.(genes);
  problem.canonical?.(genes);
  // −0 becomes 0: they are one candidate.
  for (let i = 0; i < genes.length; i++) genes[i] = genes[i]! + 0;
  if (!problem.repair && !problem.canonical) return;
  try {
    assertGenes(layout, genes);
  } catch (error) {
    if (!(error instanceof Nsga2Error)) throw error;
    throw new Nsga2Error('invalid-problem', `repair or canonical left bad genes: ${error.message}`, error.details, {
      cause: error,
    });
  }
}

/** The first generation: the given candidates, then samples, none twice. */
export function sampleInitial(
  context: MatingContext,
  count: number,
  initial: readonly ArrayLike<number>[],
  sampler: Sampler = sampleUniform,
): number[][] {
  const { layout, random, known } = context;
  const chosen: number[][] = [];
  const genes = new Float64Array(layout.width);
  const accept = (): void => {
    normalise(context, genes);
    if (!known || known.add(genes)) chosen.push(toList(genes));
  };
  for (const given of initial) {
    assertGenes(layout, given);
    genes.set(given);
    if (chosen.length < count) accept();
  }
  const given = chosen.length;
  for (let attempt = 0; chosen.length < count && attempt < RANDOM_ATTEMPTS * count; attempt++) {
    // A stratified sampler fills count − given strata once; what it repeats is replaced by uniform samples.
    if (attempt < count - given) sampler(layout, genes, random, attempt, count - given);
    else sampleUniform(layout, genes, random);
    accept();
  }
  return chosen;
}

/** Up to `count` children of the population; fewer only when no new candidate can be found. */
export function mate(context: MatingContext, parents: Population, count: number): number[][] {
  const { layout, operators, random, known } = context;
  const tournament = new Tournament(parents, context.survival, random);
  const children: number[][] = [];
  const first = new Float64Array(layout.width);
  const second = new Float64Array(layout.width);
  const accept = (genes: Float64Array): void => {
    normalise(context, genes);
    if (children.length < count && (!known || known.add(genes))) children.push(toList(genes));
  };
  for (let attempt = 0; children.length < count && attempt < MATING_ATTEMPTS * count; attempt += 2) {
    copyRow(parents, tournament.winner(), first);
    copyRow(parents, tournament.winner(), second);
    for (const group of layout.groups) operators[group.type].crossover.cross(first, second, group, random);
    mutate(layout, operators, first, random);
    mutate(layout, operators, second, random);
    accept(first);
    accept(second);
  }
  for (let attempt = 0; children.length < count && attempt < RANDOM_ATTEMPTS * count; attempt++) {
    sampleUniform(layout, first, random);
    accept(first);
  }
  return children;
}

/** Mutates every group; where nothing changed and genes are discrete, one discrete gene is changed for certain. */
function mutate(layout: GeneLayout, operators: Operators, genes: Float64Array, random: Random): void {
  const context = { rate: layout.mutable > 0 ? 1 / layout.mutable : 0, atLeastOne: false };
  let changed = 0;
  let discrete = 0;
  for (const group of layout.groups) {
    changed += operators[group.type].mutation.mutate(genes, group, random, context);
    if (group.type !== 'real') discrete += group.type === 'permutation' ? 1 : group.positions.length;
  }
  if (changed > 0 || discrete === 0) return;
  let draw = random.integer(0, discrete - 1);
  for (const group of layout.groups) {
    if (group.type === 'real') continue;
    draw -= group.type === 'permutation' ? 1 : group.positions.length;
    if (draw >= 0) continue;
    operators[group.type].mutation.mutate(genes, group, random, { rate: 0, atLeastOne: true });
    return;
  }
}

/** `Array.from` of a typed array goes through its iterator, ten times slower than this. */
function toList(genes: Float64Array): number[] {
  const list: number[] = [];
  for (let i = 0; i < genes.length; i++) list.push(genes[i]!);
  return list;
}

function copyRow(population: Population, row: number, into: Float64Array): void {
  const start = row * population.width;
  for (let i = 0; i < into.length; i++) into[i] = population.genes[start + i]!;
}

/** Binary tournaments over random orders of the population, so that everybody competes equally often. */
class Tournament {
  private readonly population: Population;
  private readonly survival: Survival;
  private readonly random: Random;
  private order = new Int32Array(0);
  private next = 0;

  constructor(population: Population, survival: Survival, random: Random) {
    this.population = population;
    this.survival = survival;
    this.random = random;
  }

  winner(): number {
    const i = this.competitor();
    const j = this.competitor();
    const outcome = this.survival.compare(this.population, i, j);
    if (outcome !== 0) return outcome < 0 ? i : j;
    return this.random.boolean() ? i : j;
  }

  private competitor(): number {
    if (this.next === this.order.length) {
      this.order = this.random.permutation(this.population.size) as Int32Array<ArrayBuffer>;
      this.next = 0;
    }
    return this.order[this.next++]!;
  }
}
