// How variables lie in a flat genome: bounds per gene, and groups of genes of one kind that operators work on.
import { axisOf, onAxis, type Axis } from './axes.ts';
import { resolveConditions } from './conditions.ts';
import { Nsga2Error } from './errors.ts';
import type { Random } from './random.ts';
import {
  categorical,
  integer,
  ordinal,
  permutation,
  real,
  type NumberOptions,
  type OperatorType,
  type Variable,
  type VariableType,
} from './variables.ts';

/** Genes that share a kind of variable and therefore operators. Genes with a single possible value are in no group. */
export interface GeneGroup {
  /** Kind of variable; an ordinal's genes, and numbers with a step, are integers here. */
  readonly type: OperatorType;
  /** Positions in the genome. For permutations: the consecutive positions of one variable. */
  readonly positions: Int32Array;
  /** Lowest value of each position. */
  readonly lower: Float64Array;
  /** Highest value of each position, inclusive. */
  readonly upper: Float64Array;
}

/** The genome of a list of variables. */
export interface GeneLayout {
  readonly variables: readonly Variable[];
  /** Genes in all. */
  readonly width: number;
  readonly lower: Float64Array;
  readonly upper: Float64Array;
  /** 1 where the gene is a whole number. */
  readonly whole: Uint8Array;
  readonly groups: readonly GeneGroup[];
  /** Genes that can change: the n of the mutation rate 1/n. A permutation counts once. */
  readonly mutable: number;
  /** The genome that operators and samplers work on where it is another: logarithms for a log scale, the number of the step for steps. */
  readonly even: EvenLayout | undefined;
}

/** A layout whose genes lie evenly, and the way there and back. */
export interface EvenLayout {
  readonly layout: GeneLayout;
  /** By gene; undefined where nothing changes. */
  readonly axes: readonly (Axis | undefined)[];
}

type Given = { readonly [K in 'scale' | 'step']: NumberOptions[K] | undefined };

const given = ({ scale, step }: Given): NumberOptions => ({
  ...(scale === undefined ? {} : { scale }),
  ...(step === undefined ? {} : { step }),
});

const CHECKS: { readonly [T in VariableType]: (variable: Extract<Variable, { type: T }>) => unknown } = {
  // Other properties are the writer's own.
  real: ({ lower, upper, scale, step }) => real(lower, upper, given({ scale, step })),
  integer: ({ lower, upper, scale, step }) => integer(lower, upper, given({ scale, step })),
  ordinal: ({ values }) => ordinal(Array.isArray(values) ? values : []),
  categorical: ({ values }) => categorical(Array.isArray(values) ? values : []),
  boolean: () => undefined,
  permutation: ({ length }) => permutation(length),
};

/** Checks a variable that was written as an object. @throws Nsga2Error `invalid-variable` naming the variable and what is wrong */
function checkVariable(variable: Variable, index: number): void {
  const type = (variable as Variable | null)?.type as VariableType;
  const check = (Object.hasOwn(CHECKS, type) ? CHECKS[type] : undefined) as
    | ((variable: Variable) => unknown)
    | undefined;
  if (!check) {
    throw new Nsga2Error(
      'invalid-variable',
      `variable ${index} is of type ${JSON.stringify(type)}: use ${Object.keys(CHECKS).join(', ')}`,
      { index, variable },
    );
  }
  try {
    check(variable);
  } catch (error) {
    if (!(error instanceof Nsga2Error)) throw error;
    throw new Nsga2Error(
      'invalid-variable',
      `variable ${index}: ${error.message}`,
      { index, ...error.details },
      { cause: error },
    );
  }
}

/** Computes the layout once per problem. @throws Nsga2Error `invalid-problem` without variables, `invalid-variable` */
export function createLayout(variables: readonly Variable[]): GeneLayout {
  if (variables.length === 0) throw new Nsga2Error('invalid-problem', 'a problem needs at least one variable');
  variables.forEach(checkVariable);
  resolveConditions(variables);
  const even = evenLayout(variables);
  const width = variables.reduce((sum, variable) => sum + (variable.type === 'permutation' ? variable.length : 1), 0);
  const lower = new Float64Array(width);
  const upper = new Float64Array(width);
  const whole = new Uint8Array(width).fill(1);
  const byType = new Map<OperatorType, number[]>();
  const permutations: number[][] = [];
  let position = 0;
  for (const variable of variables) {
    if (variable.type === 'permutation') {
      const positions = Array.from({ length: variable.length }, (_, i) => position + i);
      for (const p of positions) upper[p] = variable.length - 1;
      if (variable.length > 1) permutations.push(positions);
      position += variable.length;
      continue;
    }
    const [low, high] = bounds(variable);
    lower[position] = low;
    upper[position] = high;
    if (variable.type === 'real') whole[position] = 0;
    if (high > low) {
      const type = variable.type === 'ordinal' ? 'integer' : variable.type;
      const list = byType.get(type);
      if (list) list.push(position);
      else byType.set(type, [position]);
    }
    position++;
  }
  const group = (type: OperatorType, positions: readonly number[]): GeneGroup => ({
    type,
    positions: Int32Array.from(positions),
    lower: Float64Array.from(positions, (p) => lower[p]!),
    upper: Float64Array.from(positions, (p) => upper[p]!),
  });
  const groups = [
    ...[...byType].map(([type, positions]) => group(type, positions)),
    ...permutations.map((positions) => group('permutation', positions)),
  ];
  const mutable = groups.reduce((sum, g) => sum + (g.type === 'permutation' ? 1 : g.positions.length), 0);
  return {
    variables,
    width,
    lower,
    upper,
    whole,
    groups: even?.layout.groups ?? groups,
    mutable: even?.layout.mutable ?? mutable,
    even,
  };
}

/** Nothing where every variable is even as it is. */
function evenLayout(variables: readonly Variable[]): EvenLayout | undefined {
  const axes = variables.map(axisOf);
  if (axes.every((axis) => axis === undefined)) return undefined;
  const layout = createLayout(
    variables.map((variable, index): Variable => {
      const axis = axes[index];
      if (!axis) return withoutCondition(variable);
      return axis.whole ? integer(axis.lower, axis.upper) : real(axis.lower, axis.upper);
    }),
  );
  const byGene = variables.flatMap((variable, index) =>
    Array.from({ length: variable.type === 'permutation' ? variable.length : 1 }, () => axes[index]),
  );
  return { layout, axes: byGene };
}

function withoutCondition(variable: Variable): Variable {
  const { when: _, ...rest } = variable;
  return rest as Variable;
}

/** Genes to the even genome, in place. */
export function toEven({ even }: GeneLayout, genes: Float64Array): void {
  even?.axes.forEach((axis, i) => {
    if (axis) genes[i] = axis.place(genes[i]!);
  });
}

/** Back from the even genome, in place: values of the variables only. */
export function fromEven({ even }: GeneLayout, genes: Float64Array): void {
  even?.axes.forEach((axis, i) => {
    if (axis) genes[i] = axis.value(genes[i]!);
  });
}

function bounds(variable: Exclude<Variable, { type: 'permutation' }>): readonly [number, number] {
  if (variable.type === 'categorical' || variable.type === 'ordinal') return [0, variable.values.length - 1];
  if (variable.type === 'boolean') return [0, 1];
  return [variable.lower, variable.upper];
}

/** Uniform random genes: reals uniform (their logarithms on a log scale), integers inclusive, permutations in random order. */
export function sampleUniform(layout: GeneLayout, genes: Float64Array, random: Random): void {
  if (layout.even) {
    sampleUniform(layout.even.layout, genes, random);
    fromEven(layout, genes);
    return;
  }
  let position = 0;
  for (const variable of layout.variables) {
    if (variable.type === 'permutation') {
      genes.set(random.permutation(variable.length), position);
      position += variable.length;
      continue;
    }
    const low = layout.lower[position]!;
    const high = layout.upper[position]!;
    genes[position++] = variable.type === 'real' ? random.uniform(low, high) : random.integer(low, high);
  }
}

/**
 * Checks a genome: every gene in range, whole where it must be, and permutations are permutations.
 *
 * @throws Nsga2Error `invalid-genes` naming the gene
 */
export function assertGenes(layout: GeneLayout, genes: ArrayLike<number>): void {
  if (genes.length !== layout.width) {
    throw new Nsga2Error('invalid-genes', `${genes.length} genes for a genome of ${layout.width}`, {
      genes: Array.from(genes),
    });
  }
  for (let i = 0; i < layout.width; i++) {
    const gene = genes[i]!;
    if (!(gene >= layout.lower[i]! && gene <= layout.upper[i]!) || (layout.whole[i] === 1 && !Number.isInteger(gene))) {
      const kind = layout.whole[i] === 1 ? 'an integer' : 'a number';
      throw new Nsga2Error(
        'invalid-genes',
        `gene ${i} is ${gene}: needs ${kind} in [${layout.lower[i]}, ${layout.upper[i]}]`,
        { index: i, value: gene, lower: layout.lower[i], upper: layout.upper[i] },
      );
    }
    const axis = layout.even?.axes[i];
    if (axis && !onAxis(axis, gene)) {
      throw new Nsga2Error(
        'invalid-genes',
        `gene ${i} is ${gene}, between two steps: use ${axis.value(axis.place(gene))}`,
        { index: i, value: gene },
      );
    }
  }
  for (const group of layout.groups) {
    if (group.type !== 'permutation' || isPermutation(genes, group.positions)) continue;
    throw new Nsga2Error('invalid-genes', `genes ${group.positions[0]}… repeat a value: needs a permutation`, {
      values: Array.from(group.positions, (p) => genes[p]!),
    });
  }
}

/** Whether genes that are known to be whole and in range are all different. */
function isPermutation(genes: ArrayLike<number>, positions: Int32Array): boolean {
  const seen = new Uint8Array(positions.length);
  for (let i = 0; i < positions.length; i++) {
    const value = genes[positions[i]!]!;
    if (seen[value] === 1) return false;
    seen[value] = 1;
  }
  return true;
}
