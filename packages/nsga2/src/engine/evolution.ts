// The engine: generations made by ask and completed by tell, in any order and any portions, the same every time.
import { ParetoArchive } from '../archive.ts';
import { Nsga2Error } from '../errors.ts';
import { createLayout, type GeneLayout } from '../layout.ts';
import { assertProblem, checkEvaluation, type Problem } from '../problem.ts';
import { Random } from '../random.ts';
import type { Survival } from '../survival/survival.ts';
import { frontOf } from './front.ts';
import { GeneSet } from './gene-set.ts';
import { mate, sampleInitial, type MatingContext } from './mating.ts';
import type { ResolvedEngineOptions } from './options.ts';
import { Population, type Individual } from './population.ts';
import {
  assertOperators,
  restoreCandidate,
  restoreIndividual,
  saveCandidate,
  saveIndividual,
  saveOptions,
  saveProblem,
} from './save.ts';
import { keep, slotOf, Slots, type Candidate, type Told } from './slots.ts';
import { snapshotOf, type Snapshot } from './snapshot.ts';
import { STATE_VERSION, type EngineState } from './state.ts';

/** Most individuals that room is made for at the start; where there are more, it grows with them. */
const ROOM = 4096;

/**
 * An evolutionary algorithm as ask and tell; {@link Nsga2}, {@link Nsga3}, {@link Unsga3} and {@link SmsEmoa} are this with their
 * survival.
 *
 * A generation is made whole when its first candidate is asked and ends when its last candidate is told. Nothing depends
 * on the sizes of the portions or on the order of the answers, so serial, parallel, and interrupted-and-resumed runs
 * all follow the same trajectory.
 */
export class Evolution {
  readonly problem: Problem;
  readonly layout: GeneLayout;
  protected readonly options: ResolvedEngineOptions;
  private readonly survival: Survival;
  private random: Random;
  private parents: Population;
  private readonly pool: Population;
  private slots: Slots | undefined;
  private known: GeneSet | undefined;
  private store: ParetoArchive | undefined;
  private nextId = 0;
  private completed = 0;
  private toldCount = 0;
  private empty = false;

  protected constructor(problem: Problem, options: ResolvedEngineOptions, survival: Survival) {
    assertProblem(problem);
    this.problem = problem;
    this.options = options;
    this.survival = survival;
    this.layout = createLayout(problem.variables);
    this.random = new Random(options.seed);
    const capacity = Math.min(options.populationSize + options.offspring, ROOM);
    this.parents = Population.for(this.layout, problem.objectives, capacity);
    this.pool = Population.for(this.layout, problem.objectives, capacity);
    if (options.duplicates !== 'allow') this.known = new GeneSet(this.layout.width, 2 * capacity);
    if (options.archiveCapacity > 0) this.store = new ParetoArchive(options.archiveCapacity);
  }

  /** Completed generations; the initial population is the first. */
  get generation(): number {
    return this.completed;
  }

  /** Evaluations told so far. */
  get evaluations(): number {
    return this.toldCount;
  }

  /** Candidates asked and not yet told. */
  get pending(): number {
    return this.slots?.pending ?? 0;
  }

  /** True between generations: everything asked was told, and nothing of the next generation was asked. */
  get betweenGenerations(): boolean {
    return this.slots === undefined;
  }

  /** True when no candidate that has not been seen could be found; `ask` then returns nothing. */
  get exhausted(): boolean {
    return this.empty;
  }

  /** The archive, where one was asked for. */
  get archive(): ParetoArchive | undefined {
    return this.store;
  }

  /**
   * The next candidates to evaluate: at most `count`, and at most what is left of the generation. Empty when all of the
   * generation is out for evaluation, or when the space is exhausted.
   *
   * @defaultValue count Infinity: the rest of the generation
   * @throws Nsga2Error `invalid-option` for a negative count, `invalid-genes` for an `initial` candidate out of range, or
   * where an operator or the sampler leaves bad genes, `invalid-problem` where `repair` or `canonical` does; the engine is
   * then as it was before
   */
  ask(count: number = Infinity): Candidate[] {
    if (!(count >= 0)) throw new Nsga2Error('invalid-option', `ask(${count}): needs a count of 0 or more`, { count });
    if (count === 0) return [];
    if (!this.slots && !this.empty) this.breed();
    return this.slots?.ask(count) ?? [];
  }

  /**
   * Takes evaluations of asked candidates, in any order; nothing is taken when one of them is wrong.
   *
   * @throws Nsga2Error `unknown-candidate` for an id that is not out for evaluation, `invalid-evaluation` for wrong
   * counts or values that are not finite
   */
  tell(evaluations: readonly Told[] | Told): void {
    const list = Array.isArray(evaluations) ? (evaluations as readonly Told[]) : [evaluations as Told];
    const seen = new Set<number>();
    const checked = list.map((told) => ({
      slot: slotOf(this.slots, told.id, seen),
      evaluation: checkEvaluation(this.problem, told, told.id),
    }));
    for (const { slot, evaluation } of checked) this.slots!.take(slot, evaluation.objectives, evaluation.violation);
    this.toldCount += checked.length;
    if (this.slots?.isComplete) this.complete();
  }

  /** The population after the last survival. */
  get population(): Individual[] {
    return this.parents.individuals();
  }

  /** Feasible individuals of the population that none dominates, by ascending first objective; copies are left out. */
  get front(): Individual[] {
    return frontOf(this.parents);
  }

  /**
   * The population as it would be if the generation under way ended now, with what was told so far. Changes nothing.
   */
  snapshot(): Snapshot {
    const { parents, survival, random, store: archive, options, problem } = this;
    const told = this.slots?.told ?? [];
    if (told.length === 0) return { population: this.population, front: this.front, archive };
    const empty = (capacity: number) => Population.for(this.layout, problem.objectives, capacity);
    return snapshotOf(told, { parents, survival, random, archive, populationSize: options.populationSize, empty });
  }

  /** The whole state; `fromJSON` continues exactly here. Candidates that were asked and not told are asked again. */
  toJSON(): EngineState {
    // The first generation is made now, so that its given candidates and its sampler need not be saved.
    if (this.completed === 0 && !this.slots && !this.empty) this.breed();
    const { options } = this;
    const survivalState = this.survival.toJSON();
    return {
      format: 'instatune-nsga2',
      version: STATE_VERSION,
      survival: this.survival.name,
      ...(survivalState === undefined ? {} : { survivalState }),
      options: saveOptions(options),
      problem: saveProblem(this.problem),
      random: this.random.toJSON(),
      generation: this.completed,
      nextId: this.nextId,
      evaluations: this.toldCount,
      exhausted: this.empty,
      population: Array.from({ length: this.parents.size }, (_, row) => saveIndividual(this.parents.individual(row))),
      candidates: this.slots ? this.slots.all.map(saveCandidate) : null,
      ...(options.duplicates === 'history' && this.known ? { history: this.known.toJSON() } : {}),
      ...(this.store ? { archive: this.store.toJSON() } : {}),
    };
  }

  /** Takes over a state that was checked; the options must be those it was saved with. */
  protected restore(state: EngineState): void {
    assertOperators(state, this.options);
    this.random = Random.fromJSON(state.random);
    this.survival.restore(state.survivalState);
    this.completed = state.generation;
    this.nextId = state.nextId;
    this.toldCount = state.evaluations;
    this.empty = state.exhausted;
    this.parents.clear();
    for (const saved of state.population) restoreIndividual(this.parents, saved);
    this.known?.clear();
    if (this.known && state.history) {
      for (const genes of state.history) this.known.add(Float64Array.from(genes));
    }
    if (state.archive) this.store = ParetoArchive.fromJSON(state.archive);
    this.slots = state.candidates ? new Slots(state.candidates.map(restoreCandidate)) : undefined;
  }

  /** Makes the candidates of the next generation. */
  private breed(): void {
    const { options, problem, layout, survival, random } = this;
    if (this.known && options.duplicates === 'population') {
      this.known.clear();
      for (let row = 0; row < this.parents.size; row++) this.known.add(this.parents.genes, row * layout.width);
    }
    const context: MatingContext = {
      problem,
      layout,
      survival,
      random,
      operators: options.operators,
      known: this.known,
    };
    const before = random.toJSON();
    const known = this.known?.size ?? 0;
    let genes: number[][];
    try {
      genes =
        this.completed === 0
          ? sampleInitial(context, options.populationSize, options.initial, options.sampler)
          : mate(context, this.parents, options.offspring);
    } catch (error) {
      // An operator that failed has not used up random numbers or candidates.
      this.random = Random.fromJSON(before);
      this.known?.truncate(known);
      throw error;
    }
    if (genes.length === 0) {
      this.empty = true;
      return;
    }
    this.slots = new Slots(genes.map((list) => ({ id: this.nextId++, genes: list, asked: false, told: undefined })));
  }

  /** Ends the generation: survival of parents and children, in the order of their numbers. */
  private complete(): void {
    const { pool, parents } = this;
    pool.clear();
    pool.addAll(parents);
    for (const slot of this.slots!.all) {
      pool.add(slot.id, slot.genes, slot.told!.objectives, slot.told!.violation);
      if (this.store) keep(this.store, slot);
    }
    const chosen = this.survival.select(pool, this.options.populationSize, this.random);
    parents.clear();
    parents.addRows(pool, chosen);
    this.completed++;
    this.slots = undefined;
  }
}
