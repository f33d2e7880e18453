// DTLZ test problems (Deb, Thiele, Laumanns and Zitzler 2002): any number of objectives.
import { Nsga2Error } from '../errors.ts';
import { paretoFront } from '../sorting/dominance.ts';
import { dasDennis, partitionsFor } from '../survival/reference-directions.ts';
import { real, repeat } from '../variables.ts';
import { grid } from './grid.ts';
import type { TestProblem } from './test-problem.ts';

export interface DtlzOptions {
  /** Number of objectives. @defaultValue 3 */
  readonly objectives?: number | undefined;
  /** Number of variables. @defaultValue objectives − 1 + 5 (DTLZ1), 10 (DTLZ2–6) or 20 (DTLZ7) */
  readonly variables?: number | undefined;
}

type Index = 1 | 2 | 3 | 4 | 5 | 6 | 7;
type Objectives = (x: readonly number[], m: number) => number[];

/** Exponent of DTLZ4 that crowds the candidates towards the edges. */
const DTLZ4_ALPHA = 100;

const quadratic = (x: readonly number[], m: number): number => {
  let g = 0;
  for (let i = m - 1; i < x.length; i++) g += (x[i]! - 0.5) ** 2;
  return g;
};

const multimodal = (x: readonly number[], m: number): number => {
  let g = x.length - m + 1;
  for (let i = m - 1; i < x.length; i++) g += (x[i]! - 0.5) ** 2 - Math.cos(20 * Math.PI * (x[i]! - 0.5));
  return 100 * g;
};

/** Point on the sphere of radius 1 + g at the given angles. */
function sphere(radius: number, m: number, angle: (i: number) => number): number[] {
  return Array.from({ length: m }, (_, j) => {
    let value = radius;
    for (let i = 0; i < m - 1 - j; i++) value *= Math.cos(angle(i));
    return j === 0 ? value : value * Math.sin(angle(m - 1 - j));
  });
}

const quarter = Math.PI / 2;

/** Angles that fold the sphere to a curve (DTLZ5 and DTLZ6). */
function curve(x: readonly number[], m: number, g: number): number[] {
  return sphere(1 + g, m, (i) => (i === 0 ? quarter * x[0]! : (Math.PI / (4 * (1 + g))) * (1 + 2 * g * x[i]!)));
}

const FUNCTIONS: Readonly<Record<Index, Objectives>> = {
  1(x, m) {
    const radius = 0.5 * (1 + multimodal(x, m));
    return Array.from({ length: m }, (_, j) => {
      let value = radius;
      for (let i = 0; i < m - 1 - j; i++) value *= x[i]!;
      return j === 0 ? value : value * (1 - x[m - 1 - j]!);
    });
  },
  2: (x, m) => sphere(1 + quadratic(x, m), m, (i) => quarter * x[i]!),
  3: (x, m) => sphere(1 + multimodal(x, m), m, (i) => quarter * x[i]!),
  4: (x, m) => sphere(1 + quadratic(x, m), m, (i) => quarter * x[i]! ** DTLZ4_ALPHA),
  5: (x, m) => curve(x, m, quadratic(x, m)),
  6(x, m) {
    let g = 0;
    for (let i = m - 1; i < x.length; i++) g += x[i]! ** 0.1;
    return curve(x, m, g);
  },
  7(x, m) {
    let sum = 0;
    for (let i = m - 1; i < x.length; i++) sum += x[i]!;
    return disconnected(x.slice(0, m - 1), 1 + (9 * sum) / (x.length - m + 1));
  },
};

/** DTLZ7 at the given first objectives; on the front 1 + g = 2. */
function disconnected(first: readonly number[], g: number): number[] {
  let h = first.length + 1;
  for (const f of first) h -= (f / (1 + g)) * (1 + Math.sin(3 * Math.PI * f));
  return [...first, (1 + g) * h];
}

/**
 * DTLZ1–7.
 *
 * @throws Nsga2Error `invalid-problem` for another index, fewer than 2 objectives, or fewer variables than objectives
 *
 * @example
 * ```ts
 * import { dtlz } from '@instatune/nsga2';
 * console.log(dtlz(2, { objectives: 4 }).variables.length); // => 13
 * ```
 */
export function dtlz(index: Index, options: DtlzOptions = {}): TestProblem {
  const evaluate = FUNCTIONS[index];
  if (!evaluate) throw new Nsga2Error('invalid-problem', `DTLZ${index}: use 1 to 7`, { index });
  const m = options.objectives ?? 3;
  const variables = options.variables ?? m - 1 + (index === 1 ? 5 : index === 7 ? 20 : 10);
  if (!Number.isInteger(m) || m < 2 || !Number.isInteger(variables) || variables < m) {
    throw new Nsga2Error('invalid-problem', 'DTLZ needs at least 2 objectives and as many variables', {
      objectives: m,
      variables,
    });
  }
  return {
    name: `DTLZ${index}`,
    variables: repeat(real(0, 1), variables),
    objectives: m,
    evaluate: (genes) => evaluate(genes, m),
    front: (count = 500) => sampleFront(index, m, count),
  };
}

function sampleFront(index: Index, m: number, count: number): number[][] {
  if (index === 5 || index === 6) {
    const rest = Array.from({ length: m - 2 }, () => 0);
    return Array.from({ length: count }, (_, i) => curve([count === 1 ? 0 : i / (count - 1), ...rest], m, 0));
  }
  if (index === 7) {
    const side = Math.max(2, Math.round(count ** (1 / (m - 1))));
    const points = grid(m - 1, side).map((first) => disconnected(first, 1));
    return paretoFront(points).map((i) => points[i]!);
  }
  const simplex = dasDennis(m, partitionsFor(m, count));
  if (index === 1) return simplex.map((point) => point.map((value) => value / 2));
  return simplex.map((point) => {
    const length = Math.hypot(...point);
    return point.map((value) => value / length);
  });
}
