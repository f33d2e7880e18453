// Operators for integer, categorical and boolean genes: uniform and k-point crossover, random reset, steps.
import type { GeneGroup } from '../layout.ts';
import type { Random } from '../random.ts';
import { count, positive, probability } from './check.ts';
import type { Crossover, Mutation } from './operator.ts';

export interface UniformCrossoverOptions {
  /** Probability that a pair is recombined at all. @defaultValue 0.9 */
  readonly probability?: number | undefined;
  /** Probability that a gene is exchanged. @defaultValue 0.5 */
  readonly geneProbability?: number | undefined;
}

/**
 * Each gene is exchanged between the parents by the toss of a coin (Syswerda 1989). Any type but permutation.
 *
 * @throws Nsga2Error `invalid-option` for a probability outside [0, 1]
 */
export function uniformCrossover(options: UniformCrossoverOptions = {}): Crossover {
  const pairProbability = probability('uniformCrossover probability', options.probability ?? 0.9);
  const geneProbability = probability('uniformCrossover geneProbability', options.geneProbability ?? 0.5);
  return {
    name: 'uniform',
    cross(first, second, { positions }, random) {
      if (random.next() >= pairProbability) return;
      for (let i = 0; i < positions.length; i++) {
        if (random.next() < geneProbability) exchange(first, second, positions[i]!);
      }
    },
  };
}

export interface PointCrossoverOptions {
  /** Probability that a pair is recombined at all. @defaultValue 0.9 */
  readonly probability?: number | undefined;
  /** Number of cuts. @defaultValue 2 */
  readonly points?: number | undefined;
}

/**
 * Exchanges the stretches between k cuts. Any type but permutation.
 *
 * @throws Nsga2Error `invalid-option` for a probability outside [0, 1] or points that are no count
 */
export function pointCrossover(options: PointCrossoverOptions = {}): Crossover {
  const pairProbability = probability('pointCrossover probability', options.probability ?? 0.9);
  const points = count('pointCrossover points', options.points ?? 2);
  return {
    name: `${points}-point`,
    cross(first, second, { positions }, random) {
      if (random.next() >= pairProbability) return;
      const cuts = new Set<number>();
      while (cuts.size < Math.min(points, positions.length - 1)) cuts.add(random.integer(1, positions.length - 1));
      let exchanging = false;
      for (let i = 0; i < positions.length; i++) {
        if (cuts.has(i)) exchanging = !exchanging;
        if (exchanging) exchange(first, second, positions[i]!);
      }
    },
  };
}

export interface DiscreteMutationOptions {
  /** Probability of each gene. @defaultValue 1 / number of genes */
  readonly rate?: number | undefined;
}

/**
 * Sets a gene to a uniformly random *other* value of its range, so that the rate is the rate of change.
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1]
 */
export function randomReset(options: DiscreteMutationOptions = {}): Mutation {
  return perGene('random-reset', options, (gene, low, high, random) => {
    const draw = random.integer(low, high - 1);
    return draw >= gene ? draw + 1 : draw;
  });
}

export interface StepOptions extends DiscreteMutationOptions {
  /** Largest step. @defaultValue 1 */
  readonly size?: number | undefined;
}

/**
 * Moves a gene up or down by 1 … size, never out of its range and never by zero: for integers and ordered choices.
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1] or a size that is no count
 */
export function step(options: StepOptions = {}): Mutation {
  const size = count('step size', options.size ?? 1);
  return perGene('step', options, (gene, low, high, random) => {
    const below = Math.min(size, gene - low);
    const above = Math.min(size, high - gene);
    const draw = random.integer(1, below + above);
    return draw <= below ? gene - draw : gene + (draw - below);
  });
}

export interface GeometricStepOptions extends DiscreteMutationOptions {
  /** Mean step, in units of the gene's range. @defaultValue 0.1 */
  readonly mean?: number | undefined;
}

/**
 * Moves an integer by a geometrically distributed step, for wide ranges where ±1 is slow and a reset is wild.
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1] or a mean that is not positive
 */
export function geometricStep(options: GeometricStepOptions = {}): Mutation {
  const mean = positive('geometricStep mean', options.mean ?? 0.1);
  return perGene('geometric-step', options, (gene, low, high, random) => {
    const stay = 1 - 1 / Math.max(1, mean * (high - low));
    const length = stay === 0 ? 1 : 1 + Math.floor(Math.log(1 - random.next()) / Math.log(stay));
    const up = gene === low || (gene !== high && random.boolean());
    return up ? Math.min(high, gene + length) : Math.max(low, gene - length);
  });
}

/**
 * Mutates each gene with one of the given mutations, drawn by weight for each genome.
 *
 * @throws Nsga2Error `invalid-option` without choices, or for a weight that is not positive
 */
export function mixedMutation(choices: readonly (readonly [mutation: Mutation, weight: number])[]): Mutation {
  count('mixedMutation choices', choices.length);
  const total = choices.reduce((sum, [, weight]) => sum + positive('mixedMutation weight', weight), 0);
  return {
    name: `mixed(${choices.map(([mutation]) => mutation.name).join(',')})`,
    mutate(genes, group, random, context) {
      let draw = random.next() * total;
      for (const [mutation, weight] of choices) {
        draw -= weight;
        if (draw < 0) return mutation.mutate(genes, group, random, context);
      }
      return choices.at(-1)![0].mutate(genes, group, random, context);
    },
  };
}

type Change = (gene: number, low: number, high: number, random: Random) => number;

function perGene(name: string, options: DiscreteMutationOptions, change: Change): Mutation {
  const fixed = options.rate === undefined ? undefined : probability(`${name} rate`, options.rate);
  const apply = (genes: Float64Array, { positions, lower, upper }: GeneGroup, index: number, random: Random): void => {
    const position = positions[index]!;
    genes[position] = change(genes[position]!, lower[index]!, upper[index]!, random);
  };
  return {
    name,
    mutate(genes, group, random, context) {
      const rate = fixed ?? context.rate;
      let changed = 0;
      for (let i = 0; i < group.positions.length; i++) {
        if (random.next() >= rate) continue;
        apply(genes, group, i, random);
        changed++;
      }
      if (changed === 0 && context.atLeastOne) {
        apply(genes, group, random.integer(0, group.positions.length - 1), random);
        changed = 1;
      }
      return changed;
    },
  };
}

function exchange(first: Float64Array, second: Float64Array, position: number): void {
  const kept = first[position]!;
  first[position] = second[position]!;
  second[position] = kept;
}
