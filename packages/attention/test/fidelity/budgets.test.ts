// Budgets a head: the greedy choice, as a rule.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { budgetsOf, massOf } from '../../src/fidelity/budgets.ts';

const curve = fc
  .array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 12, maxLength: 12 })
  .map((values) => Float64Array.from(values).sort().reverse());

describe('budgetsOf', () => {
  it('spends k·H keys, no block on less mass than one that was left out', () => {
    fc.assert(
      fc.property(
        fc.array(curve, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 5 }),
        (curves, blocks, minBlocks) => {
          const budgets = budgetsOf(curves, { k: 2 * blocks, blockK: 2, minBlocks });
          expect(budgets.reduce((sum, keys) => sum + keys, 0)).toBe(2 * blocks * curves.length);
          const least = Math.min(minBlocks, blocks);
          for (const keys of budgets) expect(keys).toBeGreaterThanOrEqual(2 * least);
          const chosen = curves.flatMap((masses, head) => Array.from(masses.subarray(least, budgets[head]! / 2)));
          const left = curves.flatMap((masses, head) => Array.from(masses.subarray(budgets[head]! / 2)));
          expect(Math.min(...chosen)).toBeGreaterThanOrEqual(Math.max(-Infinity, ...left));
        },
      ),
    );
  });

  it('is fair where there is nothing to choose by, and stops where curves end', () => {
    const flat = () => new Float64Array(4);
    expect(budgetsOf([flat(), flat(), flat()], { k: 4, blockK: 2, minBlocks: 1 })).toEqual([4, 4, 4]);
    expect(budgetsOf([flat(), flat()], { k: 100, blockK: 2, minBlocks: 4 })).toEqual([8, 8]);
    expect(massOf(Float64Array.of(0.5, 0.25, 0.125), 4, 2)).toBe(0.75);
  });
});
