// A budget held against the last measurement: what it does not keep is said, with both numbers.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { finalMisses } from '../../src/budget/final.ts';
import { missesText } from '../../src/report/misses.ts';

const full = { latency: 53.2, loss: 0.3, accuracy: 0.9, bytes: 1e6 };

it('says a latency that the search saw within the budget and the end does not', () => {
  const settings = { budget: ['latency<=0.7x', 'loss<=baseline+1%'] };
  const misses = finalMisses({ settings, full, small: { latency: 41, loss: 0.303, accuracy: 0.9, bytes: 5e5 } });
  expect(misses).toEqual([{ text: 'latency<=0.7x', name: 'latency', relation: '<=', bound: 0.7 * 53.2, value: 41 }]);
  expect(missesText(misses)).toBe(
    'The search found it within the budget, the last measurement did not: latency<=0.7x (41 ms, not <= 37.2 ms).',
  );
});

it('says nothing of a budget that is kept, and of what was not measured again', () => {
  const small = { latency: 37, loss: 0.303, accuracy: 0.89, bytes: 5e5 };
  const settings = { budget: ['latency<=0.7x, loss<=baseline+1%, bytes<=0.5MB, accuracy>=0.89', 'f1>=0.9'] };
  expect(finalMisses({ settings, full, small })).toEqual([]);
  expect(missesText([])).toBe('');
});

it('names exactly the bounds that are overstepped', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 1, noNaN: true }),
      fc.double({ min: 1, max: 100, noNaN: true }),
      (share, latency) => {
        const settings = { budget: [`latency<=${share.toFixed(4)}x`] };
        const misses = finalMisses({ settings, full, small: { ...full, latency } });
        expect(misses.length).toBe(latency > Number(share.toFixed(4)) * full.latency * (1 + 1e-9) ? 1 : 0);
      },
    ),
  );
});
