// Offspring: tournament, crossover, mutation, repair, canonical form, duplicate check.
import { clearInactive } from '../conditions.ts';
import { assertGenes, fromEven, sampleUniform, toEven, type GeneGroup, type GeneLayout } from '../layout.ts';
import { Nsga2Error } from '../errors.ts';
import type { MutationContext, Operators } from '../operators/operator.ts';
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

/** Repairs, brings to canonical form (genes without effect first) and checks a genome in place. */
export function normalise({ problem, layout }: Pick<MatingContext, 'problem' | 'layout'>, genes: Float64Array): void {
  // A value that was written a little beside its step becomes that step.
  layout.even?.axes.forEach((axis, i) => {
    if (axis?.whole) genes[i] = axis.value(axis.place(genes[i]!));
  });
  clearInactive(layout.variables, genes);
  for (const name of ['repair', 'canonical'] as const) {
    if (!problem[name]) continue;
    problem[name](genes);
    assertGenesOf(layout, genes, 'invalid-problem', name, 'repair or canonical');
  }
  // −0 becomes 0: they are one candidate.
  for (let i = 0; i < genes.length; i++) genes[i] = genes[i]! + 0;
}

/** @throws Nsga2Error `code` naming who left the genes like that, and the gene */
function assertGenesOf(
  layout: GeneLayout,
  genes: Float64Array,
  code: 'invalid-genes' | 'invalid-problem',
  author: string,
  kind?: string,
): void {
  try {
    assertGenes(layout, genes);
  } catch (error) {
    if (!(error instanceof Nsga2Error)) throw error;
    throw new Nsga2Error(
      code,
      `${kind ?? author} left bad genes: ${error.message}${kind === undefined ? '' : `, after ${author}`}`,
      { ...error.details, author, genes: Array.from(genes) },
      { cause: error },
    );
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
    if (attempt < count - given) {
      const even = layout.even?.layout ?? layout;
      sampler(even, genes, random, attempt, count - given);
      assertGenesOf(even, genes, 'invalid-genes', 'the sampler');
      fromEven(layout, genes);
    } else sampleUniform(layout, genes, random);
    accept();
  }
  return chosen;
}

/** Up to `count` children of the population; fewer only when no new candidate can be found. */
export function mate(context: MatingContext, parents: Population, count: number): number[][] {
  const { layout, operators, random, known } = context;
  const even = layout.even?.layout ?? layout;
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
    toEven(layout, first);
    toEven(layout, second);
    for (const group of even.groups) cross(even, operators, first, second, group, random);
    mutate(even, operators, first, random);
    mutate(even, operators, second, random);
    fromEven(layout, first);
    fromEven(layout, second);
    accept(first);
    accept(second);
  }
  for (let attempt = 0; children.length < count && attempt < RANDOM_ATTEMPTS * count; attempt++) {
    sampleUniform(layout, first, random);
    accept(first);
  }
  return children;
}

/** @throws Nsga2Error `invalid-genes` naming the operator */
function cross(
  layout: GeneLayout,
  operators: Operators,
  first: Float64Array,
  second: Float64Array,
  group: GeneGroup,
  random: Random,
): void {
  const { crossover } = operators[group.type];
  crossover.cross(first, second, group, random);
  for (const genes of [first, second])
    assertGenesOf(layout, genes, 'invalid-genes', `crossover "${crossover.name}" of ${group.type} genes`);
}

/** @throws Nsga2Error `invalid-genes` naming the operator, for bad genes or where it does not say how many it changed */
function mutateGroup(
  layout: GeneLayout,
  operators: Operators,
  genes: Float64Array,
  group: GeneGroup,
  random: Random,
  context: MutationContext,
): number {
  const { mutation } = operators[group.type];
  const changed = mutation.mutate(genes, group, random, context);
  const author = `mutation "${mutation.name}" of ${group.type} genes`;
  assertGenesOf(layout, genes, 'invalid-genes', author);
  if (changed >= 0) return changed;
  throw new Nsga2Error('invalid-genes', `${author} returned ${changed}: return how many genes it changed`, {
    author,
    changed,
  });
}

/** Mutates every group; where nothing changed and genes are discrete, one discrete gene is changed for certain. */
function mutate(layout: GeneLayout, operators: Operators, genes: Float64Array, random: Random): void {
  const context = { rate: layout.mutable > 0 ? 1 / layout.mutable : 0, atLeastOne: false };
  let changed = 0;
  let discrete = 0;
  for (const group of layout.groups) {
    changed += mutateGroup(layout, operators, genes, group, random, context);
    if (group.type !== 'real') discrete += group.type === 'permutation' ? 1 : group.positions.length;
  }
  if (changed > 0 || discrete === 0) return;
  let draw = random.integer(0, discrete - 1);
  for (const group of layout.groups) {
    if (group.type === 'real') continue;
    draw -= group.type === 'permutation' ? 1 : group.positions.length;
    if (draw >= 0) continue;
    mutateGroup(layout, operators, genes, group, random, { rate: 0, atLeastOne: true });
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
