// Operators for real genes: simulated binary crossover, polynomial and Gaussian mutation, blend crossover.
import type { Crossover, Mutation } from './operator.ts';
import { probability, positive } from './check.ts';

/** Parents closer than this share of the gene's range are left alone: the spread factor would divide by nothing. */
const SAME = 1e-14;

export interface SbxOptions {
  /** Probability that a pair is recombined at all. @defaultValue 0.9 */
  readonly probability?: number | undefined;
  /** Probability that a gene of a recombined pair takes part. @defaultValue 0.5 */
  readonly geneProbability?: number | undefined;
  /** Distribution index; larger keeps children closer to the parents. @defaultValue 15 */
  readonly eta?: number | undefined;
}

/**
 * Simulated binary crossover that respects the bounds (Deb and Agrawal 1995; bounded form of Deb's NSGA-II code).
 *
 * @throws Nsga2Error `invalid-option` for a probability outside [0, 1] or an eta that is not positive
 */
export function sbx(options: SbxOptions = {}): Crossover {
  const pairProbability = probability('sbx probability', options.probability ?? 0.9);
  const geneProbability = probability('sbx geneProbability', options.geneProbability ?? 0.5);
  const eta = positive('sbx eta', options.eta ?? 15);
  const power = new Power(eta + 1);
  return {
    name: 'sbx',
    cross(first, second, group, random) {
      if (random.next() >= pairProbability) return;
      const { positions, lower, upper } = group;
      for (let i = 0; i < positions.length; i++) {
        if (random.next() >= geneProbability) continue;
        const position = positions[i]!;
        const a = first[position]!;
        const b = second[position]!;
        const gap = Math.abs(a - b);
        const low = lower[i]!;
        const high = upper[i]!;
        if (gap <= SAME * (high - low)) continue;
        const small = a < b ? a : b;
        const large = a < b ? b : a;
        const u = random.next();
        const left = spread(u, 1 + (2 * (small - low)) / gap, power);
        const right = spread(u, 1 + (2 * (high - large)) / gap, power);
        const middle = small + large;
        const below = clamp(0.5 * (middle - left * gap), low, high);
        const above = clamp(0.5 * (middle + right * gap), low, high);
        const swap = random.next() < 0.5;
        first[position] = swap ? above : below;
        second[position] = swap ? below : above;
      }
    },
  };
}

/** The spread factor of a bounded side; beta is its distance to the bound in units of the gap. */
function spread(u: number, beta: number, power: Power): number {
  const scaled = u * (2 - 1 / power.raise(beta));
  return power.root(scaled <= 1 ? scaled : 1 / (2 - scaled));
}

/** x^n and x^(1/n); for n = 16, the default of SBX, by squares and square roots, several times faster than `Math.pow`. */
class Power {
  private readonly exponent: number;
  private readonly inverse: number;
  /** log2 of the exponent where that is whole, else −1. */
  private readonly doublings: number;

  constructor(exponent: number) {
    this.exponent = exponent;
    this.inverse = 1 / exponent;
    this.doublings = Number.isInteger(Math.log2(exponent)) ? Math.log2(exponent) : -1;
  }

  raise(x: number): number {
    if (this.doublings < 0) return Math.pow(x, this.exponent);
    let power = x;
    for (let i = 0; i < this.doublings; i++) power *= power;
    return power;
  }

  root(x: number): number {
    if (this.doublings < 0) return Math.pow(x, this.inverse);
    let root = x;
    for (let i = 0; i < this.doublings; i++) root = Math.sqrt(root);
    return root;
  }
}

export interface BlendOptions {
  /** Probability that a pair is recombined at all. @defaultValue 0.9 */
  readonly probability?: number | undefined;
  /** How far beyond the parents children may lie, in units of their distance. @defaultValue 0.5 */
  readonly alpha?: number | undefined;
}

/**
 * Blend crossover BLX-α (Eshelman and Schaffer 1993): children uniform on the parents' interval, stretched by alpha.
 *
 * @throws Nsga2Error `invalid-option` for a probability outside [0, 1] or an alpha that is not positive
 */
export function blend(options: BlendOptions = {}): Crossover {
  const pairProbability = probability('blend probability', options.probability ?? 0.9);
  const alpha = positive('blend alpha', options.alpha ?? 0.5);
  return {
    name: 'blend',
    cross(first, second, { positions, lower, upper }, random) {
      if (random.next() >= pairProbability) return;
      for (let i = 0; i < positions.length; i++) {
        const position = positions[i]!;
        const small = Math.min(first[position]!, second[position]!);
        const large = Math.max(first[position]!, second[position]!);
        const margin = alpha * (large - small);
        const low = Math.max(lower[i]!, small - margin);
        const high = Math.min(upper[i]!, large + margin);
        first[position] = clamp(random.uniform(low, high), low, high);
        second[position] = clamp(random.uniform(low, high), low, high);
      }
    },
  };
}

export interface PolynomialOptions {
  /** Probability of each gene. @defaultValue 1 / number of genes */
  readonly rate?: number | undefined;
  /** Distribution index; larger makes smaller steps. @defaultValue 20 */
  readonly eta?: number | undefined;
}

/**
 * Polynomial mutation that respects the bounds (Deb and Goyal 1996).
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1] or an eta that is not positive
 */
export function polynomial(options: PolynomialOptions = {}): Mutation {
  const fixed = options.rate === undefined ? undefined : probability('polynomial rate', options.rate);
  const eta = positive('polynomial eta', options.eta ?? 20);
  const exponent = 1 / (eta + 1);
  return {
    name: 'polynomial',
    mutate(genes, { positions, lower, upper }, random, context) {
      const rate = fixed ?? context.rate;
      let changed = 0;
      for (let i = 0; i < positions.length; i++) {
        if (random.next() >= rate) continue;
        const position = positions[i]!;
        const low = lower[i]!;
        const range = upper[i]! - low;
        const gene = genes[position]!;
        const u = random.next();
        let delta: number;
        if (u <= 0.5) {
          const rest = 1 - (gene - low) / range;
          delta = Math.pow(2 * u + (1 - 2 * u) * Math.pow(rest, eta + 1), exponent) - 1;
        } else {
          const rest = 1 - (upper[i]! - gene) / range;
          delta = 1 - Math.pow(2 * (1 - u) + 2 * (u - 0.5) * Math.pow(rest, eta + 1), exponent);
        }
        genes[position] = clamp(gene + delta * range, low, upper[i]!);
        changed++;
      }
      return changed;
    },
  };
}

export interface GaussianOptions {
  /** Probability of each gene. @defaultValue 1 / number of genes */
  readonly rate?: number | undefined;
  /** Standard deviation in units of the gene's range. @defaultValue 0.1 */
  readonly deviation?: number | undefined;
}

/**
 * Adds a normal deviate, clamped to the bounds.
 *
 * @throws Nsga2Error `invalid-option` for a rate outside [0, 1] or a deviation that is not positive
 */
export function gaussian(options: GaussianOptions = {}): Mutation {
  const fixed = options.rate === undefined ? undefined : probability('gaussian rate', options.rate);
  const deviation = positive('gaussian deviation', options.deviation ?? 0.1);
  return {
    name: 'gaussian',
    mutate(genes, { positions, lower, upper }, random, context) {
      const rate = fixed ?? context.rate;
      let changed = 0;
      for (let i = 0; i < positions.length; i++) {
        if (random.next() >= rate) continue;
        const position = positions[i]!;
        const step = random.normal(0, deviation * (upper[i]! - lower[i]!));
        genes[position] = clamp(genes[position]! + step, lower[i]!, upper[i]!);
        changed++;
      }
      return changed;
    },
  };
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}
