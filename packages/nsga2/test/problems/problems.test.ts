import '@hip/testing';
import { describe, expect, it } from 'vitest';
import {
  bertSynth,
  bnh,
  constraintViolation,
  dtlz,
  hypervolume,
  minimize,
  Nsga2Error,
  osy,
  paretoFront,
  Random,
  srn,
  tnk,
  zdt,
} from '../../src/index.ts';
import { dominatesPlainly } from '../oracle.ts';

describe('zdt', () => {
  it('has the published values', () => {
    const zeros = (n: number): number[] => Array.from({ length: n - 1 }, () => 0);
    expect(zdt(1).evaluate([0.25, ...zeros(30)])).toEqual([0.25, 0.5]);
    expect(zdt(2).evaluate([0.5, ...zeros(30)])).toEqual([0.5, 0.75]);
    expect(zdt(4).evaluate([0.25, ...zeros(10)])).toEqual([0.25, 0.5]);
    expect(zdt(3).evaluate([0.05, ...zeros(30)])).toBeAllclose([0.05, 1 - Math.sqrt(0.05) - 0.05], { rtol: 1e-14 });
    expect(zdt(1).evaluate([0, ...zeros(30).map(() => 1)])).toEqual([0, 10]);
    // At 1 the sine of ZDT6 vanishes: f1 = 1, f2 = 0.
    expect(zdt(6).evaluate([1, ...zeros(10)])).toBeAllclose([1, 0], { atol: 1e-14 });
    expect(zdt(6).front(3)[0]).toBeAllclose([0.2807753191, 1 - 0.2807753191 ** 2], { rtol: 1e-9 });
  });

  it.each([1, 2, 3, 4, 6] as const)('ZDT%i: no candidate dominates its front', (index) => {
    const problem = zdt(index);
    const front = problem.front(300);
    const random = new Random(index);
    const worst = problem.variables.map(() => 0);
    for (let t = 0; t < 300; t++) {
      const x = worst.map((_, i) => (i === 0 || random.boolean(0.1) ? random.next() : 0));
      const f = problem.evaluate(x);
      expect(
        front.some((point) =>
          dominatesPlainly(
            f.map((value) => value + 1e-9),
            point,
          ),
        ),
      ).toBe(false);
    }
    expect(paretoFront(front)).toHaveLength(front.length);
  });

  it('refuses what is not defined', () => {
    expect(() => zdt(5 as never)).toThrow(Nsga2Error);
    expect(() => zdt(1, 1)).toThrow(Nsga2Error);
  });
});

describe('dtlz', () => {
  const half = (n: number, first: readonly number[]): number[] => [
    ...first,
    ...Array.from({ length: n - first.length }, () => 0.5),
  ];

  it('has the published shapes', () => {
    expect(dtlz(1).evaluate(half(7, [0.2, 0.6]))).toBeAllclose([0.06, 0.04, 0.4], { rtol: 1e-12 });
    for (const index of [2, 3, 4] as const) {
      const f = dtlz(index).evaluate(half(12, [0.3, 0.9]));
      expect(Math.hypot(...f)).toBeCloseTo(1, 12);
    }
    expect(dtlz(2).evaluate(half(12, [1, 0.5]))).toBeAllclose([0, 0, 1], { atol: 1e-12 });
    expect(dtlz(2).evaluate(half(12, [0, 0]))).toBeAllclose([1, 0, 0], { atol: 1e-12 });
    const [a = 0, b = 0, c = 0] = dtlz(5).evaluate(half(12, [0.3, 0.9]));
    expect(a).toBeCloseTo(b, 12);
    expect(a * a + b * b + c * c).toBeCloseTo(1, 12);
    const zeros = Array.from({ length: 10 }, () => 0);
    expect(Math.hypot(...dtlz(6).evaluate([0.4, 0.1, ...zeros]))).toBeCloseTo(1, 12);
    expect(dtlz(7).evaluate(Array.from({ length: 22 }, () => 0))).toEqual([0, 0, 6]);
    expect(dtlz(7).evaluate(Array.from({ length: 22 }, () => 1))[2]).toBeCloseTo(11 * (3 - 2 / 11), 12);
  });

  it('takes any number of objectives and keeps its fronts non-dominated', () => {
    for (const objectives of [2, 3, 5]) {
      for (const index of [1, 2, 3, 4, 5, 6, 7] as const) {
        const problem = dtlz(index, { objectives });
        const genes = problem.variables.map(() => 0.25);
        expect(problem.evaluate(genes)).toHaveLength(objectives);
        const front = problem.front(100);
        expect(front.length).toBeGreaterThan(objectives);
        expect(paretoFront(front)).toHaveLength(front.length);
      }
    }
    expect(() => dtlz(1, { objectives: 1 })).toThrow(Nsga2Error);
    expect(() => dtlz(8 as never)).toThrow(Nsga2Error);
  });

  it('at the optimum of the distance variables, candidates lie on the front', () => {
    const random = new Random(2);
    for (let t = 0; t < 50; t++) {
      const first = [random.next(), random.next()];
      const [a = 0, b = 0, c = 0] = dtlz(1).evaluate(half(7, first));
      expect(a + b + c).toBeCloseTo(0.5, 12);
      const g = random.next();
      const off = dtlz(2).evaluate([...first, 0.5 + g / 2, ...half(9, [])]);
      expect(Math.hypot(...off)).toBeCloseTo(1 + (g * g) / 4, 12);
    }
  });
});

describe('constrained problems', () => {
  it('hold at known optima', () => {
    const corner = bnh().evaluate([0, 0]);
    expect(corner.objectives).toEqual([0, 50]);
    expect(constraintViolation(corner)).toBe(0);
    expect(constraintViolation(bnh().evaluate([0, 3]))).toBe(9);
    // The front of SRN lies at x = −2.5; (−2.5, 2.5) is its end on the line x − 3y + 10 = 0.
    const srnPoint = srn().evaluate([-2.5, 2.5]);
    expect(srnPoint.objectives).toEqual([24.5, -24.75]);
    expect(constraintViolation(srnPoint)).toBe(0);
    expect(srn().evaluate([-2.5, 2.5]).inequality).toEqual([225 * -1 + 12.5, 0]);
    expect(constraintViolation(tnk().evaluate([1, 0.3]))).toBe(0);
    expect(constraintViolation(tnk().evaluate([0.5, 0.5]))).toBeGreaterThan(0.4);
    // An end of the front of OSY (Deb 2001): x = (5, 1, 5, 0, 5, 0), f1 = −274, f2 = 76.
    const end = osy().evaluate([5, 1, 5, 0, 5, 0]);
    expect(end.objectives).toEqual([-274, 76]);
    expect(constraintViolation(end)).toBe(0);
  });

  it.each([
    // Reference fronts by the closed forms of Deb (2001).
    ['BNH', bnh, [150, 60], bnhFront],
    ['SRN', srn, [250, 50], srnFront],
  ] as const)('%s: the front is found', async (_, make, reference, exact) => {
    const best = hypervolume(exact(), reference);
    const { front } = await minimize(make(), { maxEvaluations: 10_000, seed: 1 });
    const found = hypervolume(
      front.map(({ objectives }) => objectives),
      reference,
    );
    expect(front.every(({ violation }) => violation === 0)).toBe(true);
    expect(found / best).toBeGreaterThan(0.99);
    expect(found / best).toBeLessThanOrEqual(1 + 1e-6);
  });

  it('TNK: found points are feasible and lie on the constraint', async () => {
    const { front } = await minimize(tnk(), { maxEvaluations: 20_000, seed: 1 });
    expect(front.length).toBeGreaterThan(50);
    for (const { genes, violation } of front) {
      expect(violation).toBe(0);
      const [first = 0, second = 0] = tnk().evaluate(genes).inequality;
      expect(Math.max(first, second)).toBeGreaterThan(-0.02);
    }
    const [x, y] = [front[0]!.objectives[0]!, front.at(-1)!.objectives[1]!];
    expect(x).toBeLessThan(0.06);
    expect(y).toBeLessThan(0.06);
  });

  it('OSY: the ends of the front are reached', async () => {
    const runs = await Promise.all([1, 2, 3].map((seed) => minimize(osy(), { maxEvaluations: 25_000, seed })));
    const least = runs.map(({ front }) => front[0]!.objectives[0]!).sort((a, b) => a - b)[1]!;
    expect(least).toBeLessThan(-265);
    expect(least).toBeGreaterThanOrEqual(-274 - 1e-9);
    expect(Math.min(...runs.flatMap(({ front }) => front.map(({ objectives }) => objectives[1]!)))).toBeLessThan(10);
  });
});

/** Deb (2001), p. 363: x = y on [0, 3], then y = 3, x on [3, 5]. */
function bnhFront(): number[][] {
  const along = Array.from({ length: 2001 }, (_, i) => (5 * i) / 2000);
  return along.map((x) => [...(bnh().evaluate([x, Math.min(x, 3)]).objectives as number[])]);
}

/** x = −2.5, y from 2.5 down to −14.79. */
function srnFront(): number[][] {
  const lowest = -Math.sqrt(225 - 6.25);
  const along = Array.from({ length: 4001 }, (_, i) => 2.5 + ((lowest - 2.5) * i) / 4000);
  return along.map((y) => [...(srn().evaluate([-2.5, y]).objectives as number[])]);
}

describe('bertSynth', () => {
  const problem = bertSynth();

  it('has the fixtures of the specification', () => {
    const point = problem.evaluate([3, ...Array.from({ length: 24 }, () => 1)]);
    expect(point[0].toFixed(6)).toBe('5.587404');
    expect(point[1].toFixed(6)).toBe('-86.358137');
    expect(problem.evaluate([6, ...Array<number>(12).fill(3), ...Array<number>(12).fill(2)])).toEqual([
      11.174217216, -93,
    ]);
    expect(problem.evaluate(Array<number>(25).fill(0))[0]).toBe(2.190018048);
  });

  it('has an exact front of 321 points with hypervolume 273.214386', () => {
    const front = problem.exactFront();
    expect(front).toHaveLength(321);
    expect(
      hypervolume(
        front.map(({ objectives }) => objectives),
        problem.reference,
      ).toFixed(6),
    ).toBe('273.214386');
    for (const { genes, objectives } of front) {
      expect(problem.evaluate(genes)).toEqual(objectives);
      const canonical = Float64Array.from(genes);
      problem.canonical(canonical);
      expect(Array.from(canonical)).toEqual(genes);
    }
  });

  it('nothing dominates the exact front: neither random candidates nor mutants of optima', () => {
    const optima = problem.exactFront();
    const upper = problem.variables.map((variable) => (variable as { upper: number }).upper);
    const random = new Random(1);
    for (let t = 0; t < 2000; t++) {
      const genes =
        t % 2 === 0
          ? random.pick(optima).genes.map((gene, i) => (random.boolean(0.1) ? random.integer(0, upper[i]!) : gene))
          : upper.map((high) => random.integer(0, high));
      const f = problem.evaluate(genes);
      expect(optima.some(({ objectives }) => dominatesPlainly([f[0], f[1] + 1e-9], objectives))).toBe(false);
    }
  });

  it('the canonical form clears unused layers and changes no objective', () => {
    const random = new Random(3);
    for (let t = 0; t < 100; t++) {
      const genes = Float64Array.from(problem.variables, (variable) =>
        random.integer(0, (variable as { upper: number }).upper),
      );
      const canonical = genes.slice();
      problem.canonical(canonical);
      expect(problem.evaluate(Array.from(canonical))).toEqual(problem.evaluate(Array.from(genes)));
      const layers = 6 + genes[0]!;
      for (let l = layers; l < 12; l++) expect([canonical[1 + l], canonical[13 + l]]).toEqual([0, 0]);
    }
    expect('canonical' in bertSynth({ canonical: false })).toBe(false);
  });
});
