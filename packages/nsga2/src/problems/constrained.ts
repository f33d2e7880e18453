// Constrained test problems: BNH, SRN, TNK and OSY, as collected by Deb (2001).
import { real, repeat } from '../variables.ts';
import type { ConstrainedTestProblem } from './test-problem.ts';

/** Binh and Korn (1997): a convex front, partly along the boundary of the variables. */
export function bnh(): ConstrainedTestProblem {
  return {
    name: 'BNH',
    variables: [real(0, 5), real(0, 3)],
    objectives: 2,
    inequality: 2,
    evaluate([x = 0, y = 0]) {
      return {
        objectives: [4 * x ** 2 + 4 * y ** 2, (x - 5) ** 2 + (y - 5) ** 2],
        inequality: [(x - 5) ** 2 + y ** 2 - 25, 7.7 - (x - 8) ** 2 - (y + 3) ** 2],
      };
    },
  };
}

/** Srinivas and Deb (1994): the front lies at x = −2.5. */
export function srn(): ConstrainedTestProblem {
  return {
    name: 'SRN',
    variables: repeat(real(-20, 20), 2),
    objectives: 2,
    inequality: 2,
    evaluate([x = 0, y = 0]) {
      return {
        objectives: [2 + (x - 2) ** 2 + (y - 1) ** 2, 9 * x - (y - 1) ** 2],
        inequality: [x ** 2 + y ** 2 - 225, x - 3 * y + 10],
      };
    },
  };
}

/** Tanaka et al. (1995): the front is the disconnected boundary of the constraints. */
export function tnk(): ConstrainedTestProblem {
  return {
    name: 'TNK',
    variables: repeat(real(0, Math.PI), 2),
    objectives: 2,
    inequality: 2,
    evaluate([x = 0, y = 0]) {
      return {
        objectives: [x, y],
        inequality: [
          1 + 0.1 * Math.cos(16 * Math.atan2(x, y)) - x ** 2 - y ** 2,
          (x - 0.5) ** 2 + (y - 0.5) ** 2 - 0.5,
        ],
      };
    },
  };
}

/** Osyczka and Kundu (1995): six variables, six constraints, a front of five pieces. */
export function osy(): ConstrainedTestProblem {
  return {
    name: 'OSY',
    variables: [real(0, 10), real(0, 10), real(1, 5), real(0, 6), real(1, 5), real(0, 10)],
    objectives: 2,
    inequality: 6,
    evaluate(genes) {
      const [a, b, c, d, e, f] = genes as [number, number, number, number, number, number];
      return {
        objectives: [
          -(25 * (a - 2) ** 2 + (b - 2) ** 2 + (c - 1) ** 2 + (d - 4) ** 2 + (e - 1) ** 2),
          genes.reduce((sum, gene) => sum + gene ** 2, 0),
        ],
        inequality: [2 - a - b, a + b - 6, b - a - 2, a - 3 * b - 2, (c - 3) ** 2 + d - 4, 4 - (e - 3) ** 2 - f],
      };
    },
  };
}
