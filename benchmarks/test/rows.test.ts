import { expect, it } from 'vitest';
import { pairedError } from '../src/instatune/rows.ts';

it('the error of a mean difference: of hits, that of discordant pairs', () => {
  // 100 examples, of which a alone is right on 6 and b alone on 2: variance (6 + 2 − (6 − 2)²/100) / 99.
  const a = new Float64Array(100).fill(1, 0, 56);
  const b = new Float64Array(100).fill(1, 6, 58);
  expect(pairedError(a, b)).toBeCloseTo(Math.sqrt((8 - 16 / 100) / 99 / 100), 12);
  expect(pairedError(a, a)).toBe(0);
});
