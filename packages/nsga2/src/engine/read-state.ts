// Reading the saved state of an engine: whole, of this version, of this problem, and in itself consistent.
import { checkArchive } from '../archive.ts';
import { assertGenes, createLayout, type GeneLayout } from '../layout.ts';
import { assertProblem, type Problem } from '../problem.ts';
import { isRandomState } from '../random.ts';
import { Saved } from '../saved.ts';
import type { OperatorType, Variable } from '../variables.ts';
import { GeneSet } from './gene-set.ts';
import { savedVariable } from './save.ts';
import { STATE_VERSION, type EngineState } from './state.ts';

/** What the fields of a state have to agree with. */
interface Expected {
  readonly layout: GeneLayout;
  readonly objectives: number;
  /** Candidates numbered so far. */
  readonly nextId: number;
}

const OPERATOR_TYPES = [
  'real',
  'integer',
  'categorical',
  'boolean',
  'permutation',
] as const satisfies readonly OperatorType[];

/**
 * The state, every field of it checked.
 *
 * @param survivals names of the survivals that the caller can continue
 * @throws Nsga2Error `invalid-state` naming the field; `invalid-problem` and `invalid-variable` for the problem itself
 */
export function readState(state: unknown, problem: Problem, survivals: readonly string[]): EngineState {
  assertProblem(problem);
  const layout = createLayout(problem.variables);
  const { objectives } = problem;
  const saved = new Saved(state, 'the saved run');
  saved.field('format').exactly('instatune-nsga2');
  saved
    .field('version')
    .exactly(STATE_VERSION, 'start again, or resume it with the release that saved it (1 does not hold the variables)');
  const survival = saved.field('survival').oneOf(survivals);
  const survivalState = saved.field('survivalState');
  if (survival === 'nsga3' || survival === 'unsga3') {
    const known = checkDirections(survivalState, objectives);
    const widths = survivalState.field('widths');
    if (survival === 'nsga3') widths.exactly(undefined);
    else if (widths.numbers(known).some((width) => width < 0)) widths.fail('numbers of at least 0');
  } else survivalState.exactly(undefined);
  const { populationSize, offspring, duplicates, archiveCapacity } = checkOptions(saved.field('options'));
  checkProblem(saved.field('problem'), problem);

  if (!isRandomState((state as EngineState).random)) {
    saved.field('random').fail('the state of a Random: { algorithm: "sfc32", words: four uint32, not all 0 }');
  }
  const generation = saved.field('generation').integer();
  const nextId = saved.field('nextId').integer();
  const expected = { layout, objectives, nextId };

  const candidates = saved.field('candidates');
  let asked = 0;
  let told = 0;
  if (!candidates.isNull) {
    const list = candidates.items();
    asked = list.length;
    if (asked < 1 || asked > (generation === 0 ? populationSize : offspring) || asked > nextId) {
      candidates.fail('null or the candidates of one generation');
    }
    list.forEach((candidate, index) => {
      candidate.field('id').integer(nextId - asked + index, nextId - asked + index);
      checkGenes(candidate.field('genes'), layout);
      const outcome = candidate.field('told');
      if (outcome.missing) return;
      checkOutcome(outcome, objectives);
      told++;
    });
    if (told === asked) candidates.fail('a generation with candidates left to tell');
  }
  const exhausted = saved.field('exhausted');
  if (exhausted.boolean() && asked > 0) exhausted.fail('false while there are candidates');
  if (generation === 0 && asked === 0) candidates.fail('the candidates of the first generation');

  const finished = nextId - asked;
  saved.field('evaluations').integer(finished + told, finished + told);
  const most = generation === 0 ? 0 : populationSize + (generation - 1) * offspring;
  if (finished < generation || finished > most) {
    saved.field('nextId').fail(`a number that ${generation} generations of ${populationSize} and ${offspring} reach`);
  }
  const ids = new Set<number>();
  const population = saved.field('population').items(Math.min(populationSize, finished));
  for (const individual of population) {
    const id = individual.field('id').integer(0, finished - 1);
    if (ids.size === ids.add(id).size) individual.field('id').fail('an id that occurs once');
    checkGenes(individual.field('genes'), layout);
    checkOutcome(individual, objectives);
    individual.field('rank').integer(0, population.length - 1);
    const crowding = individual.field('crowding');
    if (!crowding.isNull) crowding.number(0);
  }
  checkHistory(saved.field('history'), duplicates, expected);
  checkOwnArchive(saved.field('archive'), archiveCapacity, { ...expected, nextId: finished });
  return state as EngineState;
}

function checkOptions(saved: Saved): Pick<EngineState['options'], 'populationSize' | 'offspring' | 'duplicates'> & {
  readonly archiveCapacity: number;
} {
  const populationSize = saved.field('populationSize').integer(2);
  const offspring = saved.field('offspring').integer(1);
  saved.field('seed').number();
  const duplicates = saved.field('duplicates').oneOf(['population', 'history', 'allow']);
  for (const type of OPERATOR_TYPES) {
    for (const name of saved.field('operators').field(type).items(2)) name.text();
  }
  const capacity = saved.field('archiveCapacity');
  return { populationSize, offspring, duplicates, archiveCapacity: capacity.isNull ? Infinity : capacity.integer() };
}

/** Genes mean nothing without the variables they were bred for. */
function checkProblem(saved: Saved, problem: Problem): void {
  const fix = 'resume with the problem that was saved';
  const variables = saved.field('variables').items();
  if (variables.length !== problem.variables.length) {
    saved.field('variables').fail(`the problem's list of ${problem.variables.length}`, fix);
  }
  problem.variables.forEach((variable: Variable, index) => {
    for (const [name, value] of Object.entries({ scale: undefined, step: undefined, ...savedVariable(variable) })) {
      variables[index]!.field(name).exactly(value, fix);
    }
  });
  saved.field('objectives').exactly(problem.objectives, fix);
  saved.field('inequality').exactly(problem.inequality ?? 0, fix);
  saved.field('equality').exactly(problem.equality ?? 0, fix);
}

function checkGenes(saved: Saved, layout: GeneLayout): readonly number[] {
  const genes = saved.numbers(layout.width);
  saved.check(() => assertGenes(layout, genes));
  return genes;
}

/** Objectives and violation; both are null after a failed evaluation. */
function checkOutcome(saved: Saved, objectives: number): void {
  const violation = saved.field('violation');
  if (violation.isNull) return saved.field('objectives').exactly(null);
  violation.number(0);
  saved.field('objectives').numbers(objectives);
}

function checkHistory(saved: Saved, duplicates: string, { layout, nextId }: Expected): void {
  if (duplicates !== 'history') return saved.exactly(undefined);
  const known = new GeneSet(layout.width);
  for (const genome of saved.items(nextId)) {
    if (!known.add(Float64Array.from(checkGenes(genome, layout)))) genome.fail('a genome that occurs once');
  }
}

function checkOwnArchive(saved: Saved, capacity: number, { layout, objectives, nextId }: Expected): void {
  if (capacity === 0) return saved.exactly(undefined);
  saved.field('capacity').exactly(capacity === Infinity ? null : capacity);
  for (const entry of saved.field('entries').items()) {
    entry.field('id').integer(0, nextId - 1);
    checkGenes(entry.field('genes'), layout);
    entry.field('objectives').numbers(objectives);
  }
  checkArchive(saved);
}

/** Directions of NSGA-III, and its ideal, worst and extreme points: none of them before the first survival. @returns how many there are of each */
function checkDirections(saved: Saved, objectives: number): number {
  const directions = saved.field('directions');
  const list = directions.items();
  if (list.length === 0) directions.fail('a list of at least one direction');
  for (const direction of list) {
    const values = direction.numbers(objectives);
    if (values.some((value) => value < 0) || !(Math.hypot(...values) > 0)) {
      direction.fail('a list of numbers of at least 0, not all 0');
    }
  }
  const points = saved.field('extremes').items();
  if (points.length > 0 && points.length !== objectives) saved.field('extremes').fail(`no or ${objectives} points`);
  for (const point of points) point.numbers(objectives);
  const ideal = saved.field('ideal').numbers(points.length);
  const worst = saved.field('worst').numbers(points.length);
  if (ideal.some((value, k) => value > worst[k]!)) saved.field('ideal').fail('at most what is worst');
  return points.length;
}
