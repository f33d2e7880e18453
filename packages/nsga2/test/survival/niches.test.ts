// Niches of NSGA-III (Deb and Jain 2014, algorithm 4): the nearest of an empty niche, any of one that has members.
import { describe, expect, it } from 'vitest';
import { Population } from '../../src/engine/population.ts';
import { Random } from '../../src/index.ts';
import { nsga3Survival } from '../../src/survival/nsga3.ts';

/** Which of the points, all in the one niche around (1, 1), survive; one list a seed. */
function survivors(points: readonly (readonly number[])[], size: number): readonly number[][] {
  return Array.from({ length: 300 }, (_, seed) => {
    const pool = new Population(1, 2, points.length);
    points.forEach((point, id) => pool.add(id, [0], point, 0));
    return Array.from(nsga3Survival([[1, 1]]).select(pool, size, new Random(seed))).sort((a, b) => a - b);
  });
}

describe('the last front of NSGA-III', () => {
  const front = [
    [0, 2],
    [0.9, 1],
    [2, 0],
  ];

  it('gives an empty niche its nearest point, whatever the seed', () => {
    expect(new Set(survivors(front, 1).map(String))).toEqual(new Set(['1']));
  });

  it('gives a niche that has members any point, the far ones as often as the nearest', () => {
    // Two points that dominate the front are in the niche already.
    const points = [[-1, 1], [1, -1], ...front.map((point) => point.map((value) => value + 1))];
    const third = survivors(points, 3).map(([first, second, last]) => {
      expect([first, second]).toEqual([0, 1]);
      return last!;
    });
    for (const row of [2, 3, 4]) expect(third.filter((other) => other === row).length).toBeGreaterThan(70);
  });
});

describe('the parents of U-NSGA-III (Seada and Deb 2016, algorithm 2)', () => {
  const directions = [
    [1, 0],
    [1, 1],
    [0, 1],
  ];
  const points = [
    [0, 4],
    [4, 0],
    [2, 2], // on the middle direction
    [1.8, 2.3], // near it
    [3, 3], // on it, behind
  ];
  const pool = new Population(1, 2, points.length);
  points.forEach((point, id) => pool.add(id, [0], point, 0));
  const survival = nsga3Survival(directions, 'niching');
  survival.select(pool, points.length, new Random(1));

  it('compete in their niche: by front, then by distance', () => {
    expect(survival.compare(pool, 2, 4)).toBeLessThan(0);
    expect(survival.compare(pool, 4, 3)).toBeGreaterThan(0);
    expect(survival.compare(pool, 2, 3)).toBeLessThan(0);
  });

  it('draw where their niches differ, and always in NSGA-III', () => {
    expect(survival.compare(pool, 0, 2)).toBe(0);
    expect(nsga3Survival(directions).compare(pool, 2, 4)).toBe(0);
  });

  it('a feasible one beats one that is not', () => {
    const two = new Population(1, 2, 2);
    two.add(0, [0], [5, 5], 0);
    two.add(1, [0], [1, 1], 0.5);
    expect(survival.compare(two, 0, 1)).toBeLessThan(0);
  });
});
