// Operators for orders: order crossover, partially mapped crossover, swap, inversion and insertion.
import type { GeneGroup } from '../layout.ts';
import type { Random } from '../random.ts';
import { probability } from './check.ts';
import type { Crossover, Mutation } from './operator.ts';

export interface PermutationCrossoverOptions {
  /** Probability that a pair is recombined at all. @defaultValue 0.9 */
  readonly probability?: number | undefined;
}

type Recombine = (keep: Float64Array, other: Float64Array, from: number, to: number) => Float64Array;

/**
 * Order crossover OX (Davis 1985): a stretch of one parent, the rest in the other parent's order.
 *
 * @throws Nsga2Error `invalid-option` for a probability outside [0, 1]
 */
export function orderCrossover(options: PermutationCrossoverOptions = {}): Crossover {
  return twoParents('order', options, (keep, other, from, to) => {
    const length = keep.length;
    const child = new Float64Array(length);
    const used = new Uint8Array(length);
    for (let i = from; i <= to; i++) {
      child[i] = keep[i]!;
      used[keep[i]!] = 1;
    }
    let place = (to + 1) % length;
    for (let k = 1; k <= length; k++) {
      const gene = other[(to + k) % length]!;
      if (used[gene] === 1) continue;
      child[place] = gene;
      place = (place + 1) % length;
    }
    return child;
  });
}

/**
 * Partially mapped crossover PMX (Goldberg and Lingle 1985): keeps more of the absolute positions than OX.
 *
 * @throws Nsga2Error `invalid-option` for a probability outside [0, 1]
 */
export function partiallyMappedCrossover(options: PermutationCrossoverOptions = {}): Crossover {
  return twoParents('partially-mapped', options, (keep, other, from, to) => {
    const child = Float64Array.from(other);
    const place = new Int32Array(keep.length);
    for (let i = 0; i < child.length; i++) place[child[i]!] = i;
    for (let i = from; i <= to; i++) {
      const wanted = keep[i]!;
      const present = child[i]!;
      const at = place[wanted]!;
      child[i] = wanted;
      child[at] = present;
      place[present] = at;
      place[wanted] = i;
    }
    return child;
  });
}

export interface PermutationMutationOptions {
  /** Probability that a permutation is changed. @defaultValue 1 / number of variables that can change */
  readonly rate?: number | undefined;
}

/**
 * Exchanges two items.
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1]
 */
export function swapMutation(options: PermutationMutationOptions = {}): Mutation {
  return perVariable('swap', options, (genes, { positions }, i, j) => {
    const kept = genes[positions[i]!]!;
    genes[positions[i]!] = genes[positions[j]!]!;
    genes[positions[j]!] = kept;
  });
}

/**
 * Reverses a stretch: the classic move where neighbours matter (tours).
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1]
 */
export function inversionMutation(options: PermutationMutationOptions = {}): Mutation {
  return perVariable('inversion', options, (genes, { positions }, i, j) => {
    for (let left = Math.min(i, j), right = Math.max(i, j); left < right; left++, right--) {
      const kept = genes[positions[left]!]!;
      genes[positions[left]!] = genes[positions[right]!]!;
      genes[positions[right]!] = kept;
    }
  });
}

/**
 * Takes an item out and puts it elsewhere.
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1]
 */
export function insertionMutation(options: PermutationMutationOptions = {}): Mutation {
  return perVariable('insertion', options, (genes, { positions }, i, j) => {
    const moved = genes[positions[i]!]!;
    const direction = i < j ? 1 : -1;
    for (let k = i; k !== j; k += direction) genes[positions[k]!] = genes[positions[k + direction]!]!;
    genes[positions[j]!] = moved;
  });
}

function twoParents(name: string, options: PermutationCrossoverOptions, recombine: Recombine): Crossover {
  const pairProbability = probability(`${name} probability`, options.probability ?? 0.9);
  return {
    name,
    cross(first, second, { positions }, random) {
      if (random.next() >= pairProbability) return;
      const start = positions[0]!;
      const a = first.slice(start, start + positions.length);
      const b = second.slice(start, start + positions.length);
      const one = random.integer(0, positions.length - 1);
      const two = random.integer(0, positions.length - 1);
      const from = Math.min(one, two);
      const to = Math.max(one, two);
      first.set(recombine(a, b, from, to), start);
      second.set(recombine(b, a, from, to), start);
    },
  };
}

function perVariable(
  name: string,
  options: PermutationMutationOptions,
  change: (genes: Float64Array, group: GeneGroup, i: number, j: number) => void,
): Mutation {
  const fixed = options.rate === undefined ? undefined : probability(`${name} rate`, options.rate);
  return {
    name,
    mutate(genes, group, random: Random, context) {
      if (!context.atLeastOne && random.next() >= (fixed ?? context.rate)) return 0;
      const i = random.integer(0, group.positions.length - 1);
      const draw = random.integer(0, group.positions.length - 2);
      change(genes, group, i, draw >= i ? draw + 1 : draw);
      return 1;
    },
  };
}
