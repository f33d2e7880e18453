// ZDT test problems (Zitzler, Deb and Thiele 2000): two objectives, real variables.
import { Nsga2Error } from '../errors.ts';
import type { Problem } from '../problem.ts';
import { real, repeat } from '../variables.ts';

/** A problem whose Pareto front is known. */
export interface TestProblem extends Problem {
  readonly name: string;
  evaluate(genes: readonly number[]): readonly number[];
}

type Pair = readonly [number, number];

const HALF_TURN = Math.PI;

function meanTail(x: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < x.length; i++) sum += x[i]!;
  return sum / (x.length - 1);
}

const FUNCTIONS: Readonly<Record<number, (x: readonly number[]) => Pair>> = {
  1(x) {
    const g = 1 + 9 * meanTail(x);
    return [x[0]!, g * (1 - Math.sqrt(x[0]! / g))];
  },
  2(x) {
    const g = 1 + 9 * meanTail(x);
    return [x[0]!, g * (1 - (x[0]! / g) ** 2)];
  },
  3(x) {
    const g = 1 + 9 * meanTail(x);
    const ratio = x[0]! / g;
    return [x[0]!, g * (1 - Math.sqrt(ratio) - ratio * Math.sin(10 * HALF_TURN * x[0]!))];
  },
  4(x) {
    let g = 1 + 10 * (x.length - 1);
    for (let i = 1; i < x.length; i++) g += x[i]! ** 2 - 10 * Math.cos(4 * HALF_TURN * x[i]!);
    return [x[0]!, g * (1 - Math.sqrt(x[0]! / g))];
  },
  6(x) {
    const first = 1 - Math.exp(-4 * x[0]!) * Math.sin(6 * HALF_TURN * x[0]!) ** 6;
    const g = 1 + 9 * meanTail(x) ** 0.25;
    return [first, g * (1 - (first / g) ** 2)];
  },
};

/**
 * ZDT1, 2, 3 (30 variables), 4 and 6 (10 variables). The optimum has all variables but the first at 0.
 *
 * @param index 1, 2, 3, 4 or 6 (ZDT5 is binary and not offered)
 * @param variables @defaultValue 30 for ZDT1–3, 10 for ZDT4 and ZDT6
 */
export function zdt(index: 1 | 2 | 3 | 4 | 6, variables: number = index <= 3 ? 30 : 10): TestProblem {
  const evaluate = FUNCTIONS[index];
  if (!evaluate) throw new Nsga2Error('invalid-problem', `ZDT${index}: use 1, 2, 3, 4 or 6`, { index });
  if (!Number.isInteger(variables) || variables < 2) {
    throw new Nsga2Error('invalid-problem', `ZDT needs at least 2 variables, not ${variables}`, { variables });
  }
  const tail = index === 4 ? real(-5, 5) : real(0, 1);
  return {
    name: `ZDT${index}`,
    variables: [real(0, 1), ...repeat(tail, variables - 1)],
    objectives: 2,
    evaluate,
  };
}
