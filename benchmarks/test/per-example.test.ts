import { expect, it } from 'vitest';
import { packHits, pairedError, unpackHits } from '../src/instatune/per-example.ts';

it('the error of a mean difference: of hits, that of discordant pairs', () => {
  // 100 examples, of which a alone is right on 6 and b alone on 2: variance (6 + 2 − (6 − 2)²/100) / 99.
  const a = new Float64Array(100).fill(1, 0, 56);
  const b = new Float64Array(100).fill(1, 6, 58);
  expect(pairedError(a, b)).toBeCloseTo(Math.sqrt((8 - 16 / 100) / 99 / 100), 12);
  expect(pairedError(a, a)).toBe(0);
});

it('hits are a bit each, and come back', () => {
  const hits = Float64Array.from({ length: 872 }, (_, i) => (i % 3 === 0 || i % 7 === 2 ? 1 : 0));
  expect(Buffer.from(packHits(hits), 'base64')).toHaveLength(109);
  expect(unpackHits(packHits(hits), 872)).toEqual(hits);
  expect(packHits([1, 0, 1])).toBe(Buffer.from([5]).toString('base64'));
});
