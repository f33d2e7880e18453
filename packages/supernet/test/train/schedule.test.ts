// Learning-rate schedules.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '@hip/testing';
import { createSchedule } from '../../src/train/optimizer/schedule.ts';

describe('createSchedule', () => {
  it('rises linearly, peaks at 1 where the warm-up ends, then decays monotonically to the final share', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.oneof(fc.double({ min: 0, max: 0.99, noNaN: true }), fc.integer({ min: 1, max: 50 })),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom('constant', 'linear', 'cosine'),
        (steps, warmup, final, kind) => {
          const schedule = createSchedule(steps, { kind, warmup, final } as const);
          const rising = Math.min(steps, warmup < 1 ? Math.round(warmup * steps) : warmup);
          const values = Array.from({ length: steps }, (_, step) => schedule(step));
          expect(Math.max(...values)).toBeCloseTo(1, 12);
          values.forEach((value) => {
            expect(value).toBeGreaterThan(0 - (final === 0 ? 1e-12 : 0));
            expect(value).toBeLessThanOrEqual(1 + 1e-12);
          });
          const rise = Array.from({ length: rising }, (_, step) => (step + 1) / rising);
          expect(values.slice(0, rising)).toBeAllclose(rise, { atol: 1e-12, rtol: 0 });
          const fall = values.slice(rising);
          expect(fall.every((value, i) => i === 0 || value <= fall[i - 1]! + 1e-12)).toBe(true);
          const last = kind === 'constant' || steps === rising ? 1 : final;
          expect(steps === rising ? values.at(-1) : schedule(steps)).toBeCloseTo(last, 9);
        },
      ),
    );
  });

  it('is half way down in the middle of a cosine and of a line', () => {
    expect(createSchedule(100, { kind: 'cosine', warmup: 0 })(50)).toBeCloseTo(0.5, 12);
    expect(createSchedule(100, { kind: 'linear', warmup: 0 })(25)).toBeCloseTo(0.75, 12);
    expect(createSchedule(100, { kind: 'cosine', warmup: 0 })(25)).toBeCloseTo(0.5 + Math.SQRT1_2 / 2, 12);
  });

  it('rejects a final share above 1', () => {
    expect(() => createSchedule(10, { final: 2 })).toThrow(/final = 2/);
  });
});
