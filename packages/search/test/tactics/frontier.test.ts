// What a point adds to a front is what the hypervolume grows by, in any number of objectives.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { volume } from '../../src/run/front.ts';
import { Frontier } from '../../src/tactics/frontier.ts';

it.each([1, 2, 3])(
  'the gain of a point is the hypervolume with it less that without, of %i objectives',
  (objectives) => {
    const value = fc.integer({ min: 0, max: 12 }).map((n) => n / 10);
    const point = fc.array(value, { minLength: objectives, maxLength: objectives });
    fc.assert(
      fc.property(
        fc.array(point, { maxLength: 12 }),
        fc.array(point, { minLength: 1, maxLength: 6 }),
        (known, offered) => {
          const reference = Array.from({ length: objectives }, () => 1);
          const front = new Frontier(known, reference);
          const all = [...known];
          for (const one of offered) {
            const grown = volume([...all, one], reference) - volume(all, reference);
            expect(front.gain(one)).toBeCloseTo(grown, 12);
            front.add(one);
            all.push(one);
            expect(front.gain(one)).toBe(0);
          }
        },
      ),
      { numRuns: 200 },
    );
  },
);
