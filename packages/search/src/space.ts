// A search problem made ready: checked, with canonical keys, unused genes, exact values and minimised objectives.
import { activeVariables, type Random } from '@instatune/nsga2';
import { SearchError, messageOf } from './errors.ts';
import { checkGenes, checkVariables, genesOf, sampleGenes, variableOfGenes, type Gene } from './genes.ts';
import type { Attribute, ExactObjective, MeasuredObjective, SearchProblem } from './problem.ts';
import { keepableValues } from './study/values.ts';

type Values = Readonly<Record<string, number>>;

/** FNV-1a, 64 bits, as 16 hex digits. Names things; protects nothing. */
function fnv1a(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}

/** What two studies, or a study and a worker, must share: name, genes and objectives. */
export function problemFingerprint(problem: SearchProblem): string {
  const objectives = problem.objectives.map(({ name, kind, direction = 'minimize' }) => ({ name, kind, direction }));
  return fnv1a(JSON.stringify({ name: problem.name, space: problem.space, objectives }));
}

/** @throws SearchError `invalid-problem` naming the part and the fix */
export function checkProblem(problem: SearchProblem): void {
  const fail = (message: string, details: Record<string, unknown> = {}): never => {
    throw new SearchError('invalid-problem', `problem "${problem.name}": ${message}`, details);
  };
  if (typeof problem !== 'object' || problem === null)
    throw new SearchError(
      'invalid-problem',
      `${String(problem)} is no problem: give a name, a space and objectives`,
      {},
    );
  if (typeof problem.name !== 'string' || problem.name === '')
    throw new SearchError('invalid-problem', 'a problem needs a name', { name: problem.name });
  if (!Array.isArray(problem.space) || problem.space.length === 0) fail('space is empty: give at least one variable');
  if (!Array.isArray(problem.objectives) || problem.objectives.length === 0) fail('no objectives: give at least one');
  try {
    checkVariables(problem.space);
  } catch (error) {
    fail(`its space: ${messageOf(error)}`, { space: problem.space });
  }
  try {
    JSON.stringify(problem.space);
  } catch (error) {
    fail(
      `its space cannot be kept as JSON (${messageOf(error)}): use numbers or texts instead of BigInts and circles`,
      {
        space: problem.space,
      },
    );
  }
  if (problem.attributes !== undefined && !Array.isArray(problem.attributes))
    fail('attributes is no list: give a list');
  for (const part of [...problem.objectives, ...(problem.attributes ?? [])]) {
    if (typeof part?.name !== 'string' || part.name === '') fail('an objective or attribute has no name: give it one');
  }
  for (const { name, evaluate } of problem.attributes ?? [])
    if (typeof evaluate !== 'function') fail(`attribute ${name} has no evaluate: give one`, { name });
  const names = [...problem.objectives, ...(problem.attributes ?? [])].map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    fail(`"${twice}" is named twice among objectives and attributes: names must differ`, { name: twice });
  for (const objective of problem.objectives) {
    const { name, kind, direction = 'minimize' } = objective;
    if (!['minimize', 'maximize'].includes(direction))
      fail(`objective ${name} has the direction ${JSON.stringify(direction)}: use 'minimize' or 'maximize'`, {
        name,
        direction,
      });
    if (!['measured', 'exact'].includes(kind))
      fail(`objective ${name} is of kind ${JSON.stringify(kind)}: use 'measured' or 'exact'`, { name, kind });
    if (!objective.evaluate && (kind === 'exact' || !problem.measure)) {
      fail(`objective ${name} has no evaluate${kind === 'measured' ? ', and the problem no measure' : ''}: give one`, {
        name,
      });
    }
  }
  if (problem.steps !== undefined && !(Number.isFinite(problem.steps) && problem.steps > 0))
    fail(`steps is ${String(problem.steps)}: give a number above 0, or leave it out`, { steps: problem.steps });
  for (const [name, value] of Object.entries(problem.reference ?? {})) {
    if (!problem.objectives.some((objective) => objective.name === name) || !Number.isFinite(value))
      fail(`reference ${name} is ${String(value)}: give finite numbers by the names of objectives`, { name, value });
  }
  if (problem.constraints !== undefined && !Array.isArray(problem.constraints))
    fail(`constraints is ${JSON.stringify(problem.constraints)}: give a list of texts`);
}

/** A problem with everything the search derives from it. */
export class Space {
  readonly problem: SearchProblem;
  readonly genes: readonly Gene[];
  readonly fingerprint: string;
  readonly measured: readonly MeasuredObjective[];
  readonly exactObjectives: readonly ExactObjective[];
  /** +1 minimised, −1 maximised, in order of the objectives. */
  readonly signs: readonly number[];
  /** Objectives and attributes with their units. */
  readonly units: ReadonlyMap<string, string | undefined>;
  readonly baseline: readonly number[] | undefined;
  readonly #conditional: boolean;
  readonly #stepped: boolean;
  readonly #variableOf: readonly number[];

  /** @throws SearchError `invalid-problem`, `invalid-genes` (the baseline's) */
  constructor(problem: SearchProblem) {
    checkProblem(problem);
    this.problem = problem;
    this.genes = genesOf(problem.space);
    this.#conditional = problem.space.some(({ when }) => when !== undefined);
    this.#stepped = this.genes.some(({ axis }) => axis?.whole);
    this.#variableOf = variableOfGenes(problem.space);
    this.fingerprint = problemFingerprint(problem);
    this.measured = problem.objectives.filter((objective) => objective.kind === 'measured');
    this.exactObjectives = problem.objectives.filter((objective) => objective.kind === 'exact');
    this.signs = problem.objectives.map(({ direction }) => (direction === 'maximize' ? -1 : 1));
    this.units = new Map([...problem.objectives, ...(problem.attributes ?? [])].map(({ name, unit }) => [name, unit]));
    if (problem.baseline) this.check(problem.baseline);
    this.baseline = problem.baseline && this.canonical(problem.baseline);
  }

  /** @throws SearchError `invalid-genes` unless there is one number in range per gene */
  check(genes: readonly number[]): void {
    checkGenes(this.genes, genes, this.problem.name);
  }

  /** Which genes matter: by the variables' conditions, and by the problem's `active`, else by asking `canonical` which genes it ignores. */
  active(genes: readonly number[]): readonly boolean[] {
    const own = this.#ownActive(genes);
    if (!this.#conditional) return own;
    const variables = activeVariables(this.problem.space, genes);
    return own.map((active, index) => active && variables[this.#variableOf[index]!]!);
  }

  #ownActive(genes: readonly number[]): readonly boolean[] {
    const { problem } = this;
    if (problem.active) return this.#activeOf(genes);
    if (!problem.canonical) return this.genes.map(() => true);
    const own = this.key(problem.canonical(genes));
    return this.genes.map(({ lower, upper, kind }, index) => {
      if (kind === 'permutation' || lower === upper) return true;
      const other = [...genes];
      other[index] = genes[index] === upper ? lower : upper;
      return this.key(problem.canonical!(other)) !== own;
    });
  }

  /** The representative of all candidates equal to this one. */
  canonical(genes: readonly number[]): number[] {
    const { problem } = this;
    const stepped = this.#stepped ? this.#onSteps(genes) : genes;
    if (problem.canonical) return this.#canonicalOf(this.#conditional ? this.#cleared(stepped) : stepped);
    if (!problem.active && !this.#conditional) return Array.from(stepped);
    return this.#cleared(stepped);
  }

  /** A value written a little beside its step becomes that step. */
  #onSteps(genes: readonly number[]): number[] {
    return Array.from(genes, (value, index) => {
      const axis = this.genes[index]?.axis;
      return axis?.whole ? axis.value(axis.place(value)) : value;
    });
  }

  /** Unused genes at their first value; a permutation that the problem calls unused stays, one whose condition fails is in order. */
  #cleared(genes: readonly number[]): number[] {
    const active = this.problem.active ? this.#activeOf(genes) : undefined;
    const variables = this.#conditional ? activeVariables(this.problem.space, genes) : undefined;
    let place = 0;
    return Array.from(genes, (value, index) => {
      const { kind, lower } = this.genes[index]!;
      place = this.#variableOf[index] === this.#variableOf[index - 1] ? place + 1 : 0;
      if (variables && !variables[this.#variableOf[index]!]!) return kind === 'permutation' ? place : lower;
      return (active?.[index] ?? true) || kind === 'permutation' ? value : lower;
    });
  }

  /** Equal for equal candidates; `genes` canonical. */
  key(genes: readonly number[]): string {
    return genes.join(',');
  }

  sample(random: Random): number[] {
    return this.canonical(sampleGenes(this.problem.space, random));
  }

  /** Exact objectives and attributes. */
  exact(genes: readonly number[]): Record<string, number> {
    const values: Record<string, number> = {};
    for (const objective of this.exactObjectives) values[objective.name] = this.#computed(objective, genes);
    for (const attribute of this.problem.attributes ?? []) values[attribute.name] = this.#computed(attribute, genes);
    return values;
  }

  /** @throws SearchError `invalid-problem` unless the value is a finite number: nothing can be ranked, bounded or stored by another */
  #computed(part: ExactObjective | Attribute, genes: readonly number[]): number {
    const value = part.evaluate(genes);
    if (Number.isFinite(value)) return value;
    const given = typeof (value as unknown) === 'bigint' ? `the BigInt ${String(value)}` : String(value);
    throw new SearchError(
      'invalid-problem',
      `problem "${this.problem.name}": ${part.name} of candidate ${this.key(genes)} is ${given}: give a finite number for every candidate`,
      { name: part.name, genes, value },
    );
  }

  #activeOf(genes: readonly number[]): readonly boolean[] {
    const active = this.problem.active!(genes);
    if (active?.length === genes.length) return active;
    throw new SearchError(
      'invalid-problem',
      `problem "${this.problem.name}": active gives ${active?.length ?? 'no'} flags for ${genes.length} genes: give one a gene`,
      { genes, active },
    );
  }

  #canonicalOf(genes: readonly number[]): number[] {
    const canonical = Array.from(this.problem.canonical!(genes) ?? []);
    try {
      this.check(canonical);
    } catch (error) {
      throw new SearchError(
        'invalid-problem',
        `problem "${this.problem.name}": canonical makes bad genes of ${this.key(genes)}: ${messageOf(error)}`,
        { genes, canonical },
        { cause: error },
      );
    }
    return canonical;
  }

  /**
   * Measured values completed with the exact ones, objectives first, in their fixed order.
   *
   * @throws SearchError `measurement-failed` where an evaluator brings no finite number for a measured objective, or what cannot be kept
   */
  complete(genes: readonly number[], measured: Values): Record<string, number> {
    for (const { name } of this.measured) {
      if (Number.isFinite(measured[name])) continue;
      throw new SearchError(
        'measurement-failed',
        `the evaluator gave ${name} of candidate ${this.key(genes)} as ${String(measured[name])}: give a finite number, or the status 'failed'`,
        { name, genes, value: measured[name] },
      );
    }
    const all = { ...keepableValues(measured, `the evaluator, of candidate ${this.key(genes)}`), ...this.exact(genes) };
    const ordered: Record<string, number> = {};
    for (const { name } of this.problem.objectives) ordered[name] = all[name]!;
    return Object.assign(ordered, all);
  }

  /** Objectives in order, every one to be minimised. */
  minimised(values: Values): number[] {
    return this.problem.objectives.map(({ name }, index) => this.signs[index]! * values[name]!);
  }

  /** The inverse of `minimised`. */
  named(minimised: readonly number[]): Record<string, number> {
    return Object.fromEntries(
      this.problem.objectives.map(({ name }, index) => [name, this.signs[index]! * minimised[index]!]),
    );
  }
}
