// What is selected, chosen and measured does not depend on the units of objectives and variables; what is no number is refused.
import '@hip/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  additiveEpsilon,
  chooseByWeights,
  chooseWithin,
  crowdingDistance,
  dominates,
  dtlz,
  generationalDistance,
  generationalDistancePlus,
  hypervolume,
  invertedGenerationalDistance,
  invertedGenerationalDistancePlus,
  kneePoint,
  minimize,
  Nsga2Error,
  ParetoArchive,
  pseudoWeights,
  Random,
  real,
  sbx,
  spacing,
  spread,
  tradeOffs,
  zdt,
  type MinimizeOptions,
  type Problem,
} from '../src/index.ts';
import { Population } from '../src/engine/population.ts';
import { nsga2Survival } from '../src/survival/nsga2.ts';
import { nsga3Survival } from '../src/survival/nsga3.ts';
import { dasDennis } from '../src/survival/reference-directions.ts';

/** Units from 1e-9 to 1e9, as powers of two: they change no digit, so that ties stay ties. */
const unit = fc.integer({ min: -30, max: 30 }).map((power) => 2 ** power);
const units = fc.tuple(unit, unit, unit);

/** `count` points of three objectives, some of them copies or equal in one objective. */
function pointsOf(seed: number, count: number): number[][] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => Array.from({ length: 3 }, () => random.integer(0, 12) / 7));
}
const inUnits = (points: readonly (readonly number[])[], factors: readonly number[]) =>
  points.map((point) => point.map((value, k) => value * factors[k]!));

describe('survival', () => {
  it.each([
    ['nsga2', () => nsga2Survival('standard')],
    ['nsga2-pruned', () => nsga2Survival('pruned')],
    ['nsga3', () => nsga3Survival(dasDennis(3, 4))],
  ] as const)('of %s is the same in all units', (_, make) => {
    fc.assert(
      fc.property(fc.integer(), units, (seed, factors) => {
        const select = (points: readonly (readonly number[])[]) => {
          const pool = new Population(1, 3, points.length);
          points.forEach((point, id) => pool.add(id, [0], point, 0));
          return Array.from(make().select(pool, 12, new Random(seed)));
        };
        const points = pointsOf(seed, 30);
        expect(select(inUnits(points, factors))).toEqual(select(points));
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    [1e-9, 1e9, 1e-3],
    [1e-12, 1e-12, 1e-12],
    [1e12, 1, 1e-12],
  ])('of NSGA-III ends as near to the front with objectives in units of %d, %d and %d', async (...factors) => {
    const plain = dtlz(2);
    const options: MinimizeOptions = {
      algorithm: 'nsga3',
      directions: dasDennis(3, 6),
      maxEvaluations: 6000,
      seed: 3,
    };
    const { front } = await minimize(
      { ...plain, evaluate: (genes) => plain.evaluate(genes).map((value, k) => value * factors[k]!) },
      options,
    );
    const back = front.map(({ objectives }) => objectives.map((value, k) => value / factors[k]!));
    const { front: same } = await minimize(plain, options);
    const reference = [1.1, 1.1, 1.1];
    const wanted = hypervolume(
      same.map(({ objectives }) => objectives),
      reference,
    );
    expect(hypervolume(back, reference) / wanted).toBeGreaterThan(0.98);
  });
});

describe('genes in small units', () => {
  it('take the same way as those in large ones', async () => {
    const plain = zdt(1);
    const scaled = (factor: number): Problem => ({
      ...plain,
      variables: plain.variables.map(() => real(0, factor)),
      evaluate: (genes) => plain.evaluate(genes.map((gene) => gene / factor)),
    });
    const run = async (problem: Problem) =>
      (await minimize(problem, { populationSize: 20, maxGenerations: 8, seed: 2 })).front.map(
        ({ objectives }) => objectives,
      );
    expect(await run(scaled(2 ** -60))).toEqual(await run(plain));
  });

  it('are crossed however small they are', () => {
    const group = {
      type: 'real',
      positions: Int32Array.of(0),
      lower: Float64Array.of(0),
      upper: Float64Array.of(1e-15),
    } as const;
    const children = Array.from({ length: 20 }, (_, seed) => {
      const first = Float64Array.of(2e-16);
      sbx({ probability: 1, geneProbability: 1, eta: 2 }).cross(first, Float64Array.of(7e-16), group, new Random(seed));
      return first[0]!;
    });
    expect(new Set(children).size).toBeGreaterThan(10);
  });
});

describe('helpers', () => {
  it('choose the same point and say the same of the front in all units', () => {
    fc.assert(
      fc.property(fc.integer(), units, (seed, factors) => {
        const points = pointsOf(seed, 12);
        const other = inUnits(points, factors);
        expect(kneePoint(other)).toBe(kneePoint(points));
        expect(crowdingDistance(other)).toEqual(crowdingDistance(points));
        expect(pseudoWeights(other)).toEqual(pseudoWeights(points));
        expect(tradeOffs(other)).toEqual(tradeOffs(points));
        expect(chooseByWeights(other, [1, 2, 3])).toBe(chooseByWeights(points, [1, 2, 3]));
        const reference = [1.5, 1.5, 1.5];
        const [a, b, c] = factors;
        expect(
          hypervolume(
            other,
            reference.map((value, k) => value * factors[k]!),
          ),
        ).toBe(hypervolume(points, reference) * a * b * c);
      }),
    );
  });

  it('take the first of equals whatever rounding makes of them', () => {
    // All on the line from end to end: each is as much a knee as the others.
    const line = Array.from({ length: 11 }, (_, i) => [i / 10, 1 - i / 10]);
    for (const factor of [1, 1e-9, 1e9, 1 / 3]) expect(kneePoint(line.map(([a, b]) => [a! * factor, b!]))).toBe(0);
  });

  it('take for constant what differs by rounding only, in any unit', () => {
    for (const size of [1e-20, 1e-9, 1, 1e9, 1e20]) {
      const points = [
        [3, size],
        [1, size * (1 + 2 ** -52)],
        [2, size],
        [0, size],
      ];
      expect(crowdingDistance(points)).toEqual(crowdingDistance(points.map(([a]) => [a!, 7])));
      expect(kneePoint(points)).toBe(3);
      // A part in a million is no rounding.
      expect(
        pseudoWeights([
          [0, size],
          [1, size * (1 - 1e-6)],
        ]),
      ).toEqual([
        [1, 0],
        [0, 1],
      ]);
    }
  });

  it('an objective in which all agree has no extremes, in whatever order the points come', () => {
    expect(
      Array.from(
        crowdingDistance([
          [1, 7],
          [0, 7],
          [4, 7],
        ]),
      ),
    ).toEqual([0.5, Infinity, Infinity]);
  });

  it('bounded archives keep the same members in all units', () => {
    fc.assert(
      fc.property(fc.integer(), unit, (seed, factor) => {
        const keep = (scale: number) => {
          const archive = new ParetoArchive(6);
          pointsOf(seed, 40).forEach((point, id) =>
            archive.add({ id, genes: [], objectives: point.map((value) => value * scale) }),
          );
          return archive.entries.map(({ id }) => id);
        };
        expect(keep(factor)).toEqual(keep(1));
      }),
    );
  });

  it.each([2 ** -700, 2 ** -520, 2 ** 520, 2 ** 900])(
    'distances, spread and spacing say the same in units of %d, whose squares vanish or overflow',
    (factor) => {
      const points = pointsOf(4, 9);
      const reference = pointsOf(5, 7);
      for (const measure of [
        generationalDistance,
        generationalDistancePlus,
        invertedGenerationalDistance,
        invertedGenerationalDistancePlus,
        additiveEpsilon,
      ]) {
        const factors = [factor, factor, factor];
        expect(measure(inUnits(points, factors), inUnits(reference, factors)) / factor).toBeCloseTo(
          measure(points, reference),
          12,
        );
      }
      const other = inUnits(points, [factor, factor, factor]);
      expect(spacing(other) / factor).toBeCloseTo(spacing(points), 12);
      expect(spread(other, other)).toBeCloseTo(spread(points, points), 12);
      const flat = points.map(([a, b]) => [a!, b!]);
      const small = inUnits(flat, [factor, factor]);
      expect(spread(small, small)).toBeCloseTo(spread(flat, flat), 12);
    },
  );

  it('a distance beyond float64 is refused', () => {
    const refused = expect.objectContaining({ code: 'invalid-points' }) as Nsga2Error;
    const [low, high] = [[[-1.7e308, -1.7e308]], [[1.7e308, 1.7e308]]];
    for (const measure of [generationalDistance, invertedGenerationalDistance, additiveEpsilon])
      expect(() => measure(high, low)).toThrow(refused);
    expect(() => spacing([...low, ...high])).toThrow(refused);
    expect(() => spread([...low, ...high], low)).toThrow(refused);
  });

  it('spread, spacing and distances scale with the unit', () => {
    const points = pointsOf(4, 9);
    const other = inUnits(points, [1e-9, 1e-9, 1e-9]);
    expect(spread(other, other)).toBeCloseTo(spread(points, points), 9);
    expect(spacing(other) * 1e9).toBeCloseTo(spacing(points), 9);
    const reference = [[0, 0, 0]];
    expect(generationalDistance(other, reference) * 1e9).toBeCloseTo(generationalDistance(points, reference), 9);
  });
});

describe('what is not finite', () => {
  const bad = [Number.NaN, Infinity, -Infinity];

  it.each(bad)('%d has no distance, no share and no place in an archive', (value) => {
    const points = [
      [0, 1],
      [0.5, value],
      [1, 0],
    ];
    const refused = expect.objectContaining({ code: 'invalid-points' }) as Nsga2Error;
    for (const call of [
      () => crowdingDistance(points),
      () => kneePoint(points),
      () => tradeOffs(points),
      () => pseudoWeights(points),
      () => chooseByWeights(points, [1, 1]),
      () => spacing(points),
      () =>
        spread(points, [
          [0, 1],
          [1, 0],
        ]),
      () => generationalDistance(points, [[0, 0]]),
      () => additiveEpsilon([[0, 0]], points),
      () => new ParetoArchive().add({ id: 3, genes: [], objectives: [0.5, value] }),
    ]) {
      expect(call).toThrow(refused);
    }
  });

  it('is refused by an archive that stays as it was, as are too few objectives', () => {
    const archive = new ParetoArchive(2);
    archive.add({ id: 0, genes: [], objectives: [0, 1] });
    for (const objectives of [[Number.NaN, 0], [0.5], [], [0, 0, 0]])
      expect(() => archive.add({ id: 1, genes: [], objectives })).toThrow(/needs?|give 2 finite numbers/);
    expect(archive.entries.map(({ id }) => id)).toEqual([0]);
  });

  it('dominates nothing where it is NaN, and is ordered where it is infinite', () => {
    expect(dominates([Number.NaN, 0], [1, 1])).toBe(false);
    expect(dominates([0, 0], [1, Number.NaN])).toBe(false);
    expect(dominates([0, 0], [0, Infinity])).toBe(true);
    expect(
      chooseWithin(
        [
          [1, Infinity],
          [1, 5],
        ],
        [Infinity, Infinity],
        1,
      ),
    ).toBe(1);
    expect(() => chooseWithin([[1, 2]], [Number.NaN, 3], 0)).toThrow(Nsga2Error);
    expect(() => chooseWithin([[1, 2]], [3, 3], 0.5)).toThrow(Nsga2Error);
    expect(() => chooseByWeights([[1, 2]], [Infinity, 1])).toThrow(Nsga2Error);
  });

  it('nor is a volume beyond float64', () => {
    const refused = expect.objectContaining({ code: 'invalid-points' }) as Nsga2Error;
    for (const dimension of [2, 3, 4, 5]) {
      const points = Array.from({ length: 3 }, (_, i) =>
        Array.from({ length: dimension }, (_unused, k) => -(1 + ((i + k) % 3)) * 1e200),
      );
      expect(() =>
        hypervolume(
          points,
          points[0]!.map(() => 0),
        ),
      ).toThrow(refused);
    }
    expect(() => hypervolume([[-1e308]], [1e308])).toThrow(refused);
    expect(() => hypervolume([[-Infinity, 0]], [1, 1])).toThrow(/−Infinity/);
  });

  it('ends of the range itself are finite: products and widths on the way do not overflow or vanish', () => {
    expect(hypervolume([[0, 0, 0]], [1e200, 1e-200, 1e200])).toBeCloseTo(1e200, -190);
    expect(hypervolume([[0, 0, 0, 0]], [1e-200, 1e-200, 1e200, 1e200])).toBeCloseTo(1, 9);
    expect(
      kneePoint([
        [-1.7e308, 1.7e308],
        [-1e308, -1e308],
        [1.7e308, -1.7e308],
      ]),
    ).toBe(1);
    expect(
      Array.from(
        crowdingDistance([
          [-1.7e308, 1],
          [0, 0.5],
          [1.7e308, 0],
        ]),
      ),
    ).toEqual([Infinity, 1, Infinity]);
  });
});
