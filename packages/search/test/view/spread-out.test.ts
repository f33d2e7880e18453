// Dots of a plot of many trials: few are drawn, every part of the plot that has one keeps one, and what must be seen is.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { spreadOut } from '../../src/view/spread-out.ts';

const at = ([x, y]: readonly [number, number]): readonly [number, number] => [x, y];

it('draws everything where that is little', () => {
  const points = Array.from({ length: 1000 }, () => [1, 1] as const);
  expect(spreadOut(points, at, () => false)).toBe(points);
});

it('leaves out only what lies beside something that is drawn', () => {
  const shape = fc.record({
    seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }),
    width: fc.constantFrom(0, 1e-9, 1, 1e9),
    clusters: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(shape, ({ seed, width, clusters }) => {
      let state = seed;
      const next = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
      const points = Array.from({ length: 3000 }, (_, i) => [width * next(), (i % clusters) + 0.1 * next()] as const);
      const kept = new Set(points.filter((_, i) => i % 100 === 0));
      const drawn = new Set(spreadOut(points, at, (point) => kept.has(point)));
      expect(drawn.size).toBeLessThanOrEqual(1000 + kept.size);
      for (const point of kept) expect(drawn.has(point)).toBe(true);
      // Within a cell of the coarsest grid that may be needed: a sixteenth of either side.
      const near = ([x, y]: readonly [number, number]): boolean =>
        [...drawn].some(([a, b]) => Math.abs(a - x) <= width / 16 && Math.abs(b - y) <= (clusters + 0.1) / 16);
      for (let i = 0; i < points.length; i += 97) expect(near(points[i]!)).toBe(true);
    }),
    { numRuns: 25 },
  );
});
