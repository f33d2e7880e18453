// ZDT test problems (Zitzler, Deb and Thiele 2000): two objectives, real variables.
import { Nsga2Error } from '../errors.ts';
import { paretoFront } from '../sorting/dominance.ts';
import { real, repeat } from '../variables.ts';
import type { TestProblem } from './test-problem.ts';

type Pair = readonly [number, number];

interface Definition {
  evaluate(x: readonly number[]): Pair;
  /** Point of the curve g = 1 at t in [0, 1]. */
  curve(t: number): [number, number];
}

function meanTail(x: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < x.length; i++) sum += x[i]!;
  return sum / (x.length - 1);
}

const zdt6First = (x: number): number => 1 - Math.exp(-4 * x) * Math.sin(6 * Math.PI * x) ** 6;
/** The smallest first objective of ZDT6, at its first interior optimum: tan(6πx) = 9π. */
const ZDT6_LEAST = zdt6First(Math.atan(9 * Math.PI) / (6 * Math.PI));

const convex = (t: number): [number, number] => [t, 1 - Math.sqrt(t)];

const DEFINITIONS: Readonly<Record<number, Definition>> = {
  1: {
    evaluate(x) {
      const g = 1 + 9 * meanTail(x);
      return [x[0]!, g * (1 - Math.sqrt(x[0]! / g))];
    },
    curve: convex,
  },
  2: {
    evaluate(x) {
      const g = 1 + 9 * meanTail(x);
      return [x[0]!, g * (1 - (x[0]! / g) ** 2)];
    },
    curve: (t) => [t, 1 - t * t],
  },
  3: {
    evaluate(x) {
      const g = 1 + 9 * meanTail(x);
      const ratio = x[0]! / g;
      return [x[0]!, g * (1 - Math.sqrt(ratio) - ratio * Math.sin(10 * Math.PI * x[0]!))];
    },
    curve: (t) => [t, 1 - Math.sqrt(t) - t * Math.sin(10 * Math.PI * t)],
  },
  4: {
    evaluate(x) {
      let g = 1 + 10 * (x.length - 1);
      for (let i = 1; i < x.length; i++) g += x[i]! ** 2 - 10 * Math.cos(4 * Math.PI * x[i]!);
      return [x[0]!, g * (1 - Math.sqrt(x[0]! / g))];
    },
    curve: convex,
  },
  6: {
    evaluate(x) {
      const first = zdt6First(x[0]!);
      const g = 1 + 9 * meanTail(x) ** 0.25;
      return [first, g * (1 - (first / g) ** 2)];
    },
    curve(t) {
      const first = ZDT6_LEAST + (1 - ZDT6_LEAST) * t;
      return [first, 1 - first * first];
    },
  },
};

/**
 * ZDT1, 2, 3 (30 variables), 4 and 6 (10 variables). The optimum has all variables but the first at 0.
 *
 * @param index 1, 2, 3, 4 or 6 (ZDT5 is binary and not offered)
 * @param variables @defaultValue 30 for ZDT1–3, 10 for ZDT4 and ZDT6
 * @throws Nsga2Error `invalid-problem` for another index, or fewer than 2 variables
 */
export function zdt(index: 1 | 2 | 3 | 4 | 6, variables: number = index <= 3 ? 30 : 10): TestProblem {
  const definition = DEFINITIONS[index];
  if (!definition) throw new Nsga2Error('invalid-problem', `ZDT${index}: use 1, 2, 3, 4 or 6`, { index });
  if (!Number.isInteger(variables) || variables < 2) {
    throw new Nsga2Error('invalid-problem', `ZDT needs at least 2 variables, not ${variables}`, { variables });
  }
  const tail = index === 4 ? real(-5, 5) : real(0, 1);
  return {
    name: `ZDT${index}`,
    variables: [real(0, 1), ...repeat(tail, variables - 1)],
    objectives: 2,
    evaluate: (genes) => definition.evaluate(genes),
    front(count = 500) {
      const points = Array.from({ length: count }, (_, i) => definition.curve(count === 1 ? 0 : i / (count - 1)));
      // Parts of the curve of ZDT3 are dominated by others.
      return index === 3 ? paretoFront(points).map((i) => points[i]!) : points;
    },
  };
}
