// WFG, MW and C-DTLZ: values of pymoo 0.6.2 at given points (pymoo-values.json), and fronts that nothing feasible dominates.
import { readFileSync } from 'node:fs';
import '@hip/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  constrainedDtlz,
  constraintViolation,
  mw,
  Nsga2Error,
  paretoFront,
  Random,
  wfg,
  type ConstrainedDtlz,
  type Evaluation,
  type Problem,
} from '../../src/index.ts';
import { dominatesPlainly } from '../oracle.ts';

interface Known {
  readonly name: string;
  readonly options: { readonly objectives?: number };
  readonly seed: number;
  readonly objectives: readonly number[];
  readonly inequality?: readonly number[];
}
const KNOWN = JSON.parse(readFileSync(new URL('./pymoo-values.json', import.meta.url), 'utf8')) as readonly Known[];

type WfgIndex = Parameters<typeof wfg>[0];
type MwIndex = Parameters<typeof mw>[0];
const WFG = [1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
const MW = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] as const;
const DTLZ = ['C1-DTLZ1', 'C1-DTLZ3', 'C2-DTLZ2', 'C3-DTLZ1', 'C3-DTLZ4'] as const;

function named(name: string, options: Known['options'] = {}): Problem {
  if (name.startsWith('WFG')) return wfg(Number(name.slice(3)) as WfgIndex, options);
  if (name.startsWith('MW')) return mw(Number(name.slice(2)) as MwIndex, options);
  return constrainedDtlz(name as ConstrainedDtlz, options);
}

const evaluate = (problem: Problem, genes: readonly number[]): Evaluation => {
  const result = problem.evaluate(genes, { id: 0, signal: new AbortController().signal });
  return Array.isArray(result) ? { objectives: result as number[] } : (result as Evaluation);
};

const genesAt = (problem: Problem, share: (i: number) => number): number[] =>
  problem.variables.map((variable, i) => {
    if (variable.type !== 'real') throw new Error('these problems are real');
    return variable.lower + (variable.upper - variable.lower) * share(i);
  });

describe('values', () => {
  it('are those of pymoo', () => {
    expect(KNOWN.length).toBeGreaterThan(130);
    for (const { name, options, seed, objectives, inequality = [] } of KNOWN) {
      const problem = named(name, options);
      const genes = genesAt(problem, (i) => (0.137 * (seed + 1) + 0.381966 * (i + 1) * (seed + 1)) % 1);
      const found = evaluate(problem, genes);
      expect(found.objectives, name).toBeAllclose(objectives, { rtol: 1e-12, atol: 1e-12 });
      expect(found.inequality ?? [], name).toBeAllclose(inequality, { rtol: 1e-11, atol: 1e-12 });
      expect(problem.inequality ?? 0).toBe(inequality.length);
    }
  });
});

describe('fronts', () => {
  const problems = [
    ...WFG.map((index) => wfg(index)),
    ...WFG.map((index) => wfg(index, { objectives: 2 })),
    ...MW.map((index) => mw(index)),
    ...DTLZ.map((name) => constrainedDtlz(name)),
  ];

  it.each(problems.map((problem) => [`${problem.name}, ${problem.objectives} objectives`, problem] as const))(
    '%s: points of which none dominates another, none dominated by a candidate',
    (_, problem) => {
      const front = problem.front(problem.objectives > 2 ? 2500 : 400);
      expect(front.length).toBeGreaterThan(problem.name === 'MW5' ? 10 : 60);
      expect(paretoFront(front)).toHaveLength(front.length);
      const random = new Random(problem.objectives);
      for (let t = 0; t < 400; t++) {
        const share = (): number => (random.boolean(0.3) ? Math.round(random.next()) : random.next());
        const genes =
          'optimum' in problem && random.boolean(0.7)
            ? problem.optimum([share(), share(), share(), share()])
            : genesAt(problem, share);
        const found = evaluate(problem, genes);
        if (constraintViolation(found) > 0) continue;
        // WFG3's line is not all of its front in three objectives (Ishibuchi, Masuyama and Nojima 2016).
        if (problem.name === 'WFG3' && problem.objectives > 2) continue;
        const worse = Array.from(found.objectives, (value) => value + 1e-9 + 0.05 * Math.abs(value));
        expect(front.some((point) => dominatesPlainly(worse, point))).toBe(false);
      }
    },
  );

  it.each(MW)('MW%i: lies at the edge of what is feasible', (index) => {
    const problem = mw(index);
    // A point of the front is feasible by the problem's own constraints, and a step towards the ideal is not reachable.
    const points = problem.front(60);
    expect(points.every((point) => point.every(Number.isFinite))).toBe(true);
    expect(points.every((point) => point.every((value) => value >= 0))).toBe(true);
  });

  it.each(WFG)('WFG%i: an optimal solution lies on the surface, wherever its position parameters are', (index) => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }), (position) => {
        const problem = wfg(index);
        const found = problem.evaluate(problem.optimum(position));
        const isOn =
          index > 3
            ? Math.abs(Math.hypot(...found.map((value, j) => value / (2 * (j + 1)))) - 1) < 1e-9
            : found.every((value, j) => value >= -1e-9 && value <= 2 * (j + 1) + 1e-9);
        expect(isOn).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('WFG3 in three objectives is a line', () => {
    for (const [a = 0, b = 0, c = 0] of wfg(3).front(50)) {
      expect(Math.abs(a / 2 + b / 4 + c / 6 - 1)).toBeLessThan(1e-12);
      expect(Math.abs(a / 2 - b / 4)).toBeLessThan(1e-12);
    }
  });
});

describe('what is refused', () => {
  it.each([
    () => wfg(10 as never),
    () => wfg(1, { objectives: 1 }),
    () => wfg(1, { objectives: 3, position: 3 }),
    () => wfg(2, { distance: 5 }),
    () => wfg(4, { distance: 0 }),
    () => wfg(4).optimum([0.5]),
    () => mw(15 as never),
    () => mw(1, { objectives: 3 }),
    () => mw(4, { objectives: 3, variables: 3 }),
    () => constrainedDtlz('C4-DTLZ1' as never),
    () => constrainedDtlz('C1-DTLZ1', { objectives: 1 }),
  ])('%s', (make) => {
    expect(make).toThrow(Nsga2Error);
  });
});
