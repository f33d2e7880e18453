import { describe, expect, it } from 'vitest';
import { measureLatency, quantile } from '../../src/measure/latency.ts';

describe('measureLatency', () => {
  it('leaves the warm-up out, takes the median of the rest', async () => {
    let clock = 0;
    const durations = [1000, 900, 5, 7, 100, 6, 8];
    let runs = 0;
    const result = await measureLatency(() => (clock += durations[runs++]!), {
      warmup: 2,
      repeats: 5,
      now: () => clock,
    });
    expect(result).toEqual({ median: 7, lower: 6, upper: 8, repeats: 5 });
  });
  it('repeats short runs until they add up', async () => {
    let clock = 0;
    const { repeats } = await measureLatency(() => (clock += 3), { repeats: 2, minTotalMs: 30, now: () => clock });
    expect(repeats).toBe(10);
  });
  it('never repeats more often than it may', async () => {
    let runs = 0;
    const options = { warmup: 0, repeats: 9, minTotalMs: Infinity, maxRepeats: 3 };
    expect((await measureLatency(() => runs++, options)).repeats).toBe(3);
    expect(runs).toBe(3);
  });
  it.each([{ repeats: Number.NaN }, { repeats: 0 }, { warmup: -1 }, { maxRepeats: 0 }])(
    'refuses %j',
    async (options) => {
      await expect(measureLatency(() => {}, options)).rejects.toMatchObject({ code: 'invalid-option' });
    },
  );
  it('stops on abort', async () => {
    const abort = new AbortController();
    let runs = 0;
    const running = measureLatency(() => (++runs === 4 ? abort.abort(new Error('stop')) : undefined), {
      repeats: 100,
      signal: abort.signal,
    });
    await expect(running).rejects.toThrow('stop');
    expect(runs).toBe(4);
  });
});

it('quantile interpolates between order statistics', () => {
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3, 4], 0.25)).toBe(1.75);
  expect(quantile([5], 0.9)).toBe(5);
});
