import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '@hip/attention';
import { DemoError } from '../../src/pipeline/errors.ts';
import { resolveOptions, type DemoInput } from '../../src/pipeline/options.ts';

const resolve = (input: DemoInput) => resolveOptions(input, '/models/default');

describe('resolveOptions', () => {
  it('has the documented defaults', () => {
    const options = resolve({});
    expect(options).toMatchObject({
      model: '/models/default',
      text: [],
      seed: 0,
      quick: false,
      budget: [],
      backend: 'auto',
    });
    expect(options.longContext).toMatchObject({ lengths: [4096, 8192, 16384, 32768], k: 320, generate: 64 });
    expect('document' in options).toBe(false);
    expect(resolve({ quick: true }).longContext.lengths).toEqual([4096, 8192]);
    expect(resolve({ quick: true }).fineTune.steps).toBeLessThan(options.fineTune.steps);
  });

  it('what is given wins, in both variants', () => {
    for (const quick of [false, true]) {
      const options = resolve({
        quick,
        steps: 7,
        evaluations: 9,
        lengths: [512, 256],
        seed: 3,
        cost: 'macs',
        keys: 64,
      });
      expect(options.fineTune.steps).toBe(7);
      expect(options.search).toMatchObject({ evaluations: 9, cost: 'macs' });
      expect(options.longContext).toMatchObject({ lengths: [256, 512], k: 64 });
      expect(options.seed).toBe(3);
    }
  });

  it('rounds of the search and marks of the curve fit any sizes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 4, max: 200 }), (steps, evaluations) => {
        const { fineTune, search } = resolve({ steps, evaluations });
        expect(search.round * 2).toBeLessThanOrEqual(evaluations);
        expect(search.round).toBeGreaterThanOrEqual(2);
        expect(fineTune.warmupSteps).toBeLessThan(Math.max(1, steps));
        expect(Math.ceil(steps / fineTune.validateEvery)).toBeLessThanOrEqual(6);
      }),
    );
  });

  it('--max-loss is a budget', () => {
    expect(resolve({ maxLoss: 3.2, budget: ['latency <= 0.6x'] }).budget).toEqual(['latency <= 0.6x', 'loss <= 3.2']);
  });

  it.each(['latency<=0.6x', 'latency <= 20ms', 'macs<=5e9', 'parameters <= 0.5x', 'loss <= baseline + 2%'])(
    'takes the budget %j',
    (budget) => {
      expect(resolve({ budget: [budget] }).budget).toEqual([budget]);
    },
  );

  it.each(['latency', 'latency<=', 'latency <= 20s', 'speed >= 3', ''])('refuses the budget %j', (budget) => {
    const message: unknown = expect.stringMatching(/^--budget: /);
    expect(() => resolve({ budget: [budget] })).toThrow(expect.objectContaining({ code: 'invalid-option', message }));
  });

  it('a budget on latency needs latency to be measured', () => {
    expect(() => resolve({ budget: ['latency<=0.6x'], cost: 'macs' })).toThrow(
      '--cost macs measures no latency: bound macs instead',
    );
  });

  it('takes only keys that HiP takes', () => {
    for (const keys of [16, 48, 512, 4096, 2 ** 27]) {
      const { k, denseLayers } = resolve({ keys }).longContext;
      expect(resolveConfig({ k, denseLayers }).k).toBe(keys);
    }
  });

  it.each<[DemoInput, string]>([
    [{ seed: -1 }, '--seed is -1: use a whole number >= 0'],
    [{ seed: 1.5 }, '--seed is 1.5: use a whole number'],
    [{ steps: 0 }, '--steps is 0: use a whole number >= 1'],
    [{ evaluations: 3 }, '--evaluations is 3: use a whole number >= 4'],
    [{ learningRate: 0 }, '--learning-rate is 0: use a number > 0'],
    [{ backend: 'cuda' }, '--backend is "cuda": use auto, cpu, wasm or webgpu'],
    [{ cost: 'time' }, '--cost is "time": use latency or macs'],
    [{ lengths: [4096, 3] }, '--lengths is 3: use a whole number >= 16'],
    [{ lengths: [] }, '--lengths is []: give at least one length'],
    [{ maxLoss: -2 }, '--max-loss is -2: use a number > 0'],
    [{ keys: 0 }, '--keys is 0: use a whole number >= 2'],
    [{ keys: 1e9 }, '--keys is 1000000000: use at most 134217728'],
    [{ keys: 101 }, '--keys is 101: use a multiple of 2'],
    [{ generate: 0 }, '--generate is 0: use a whole number >= 1'],
  ])('%j is refused in one sentence', (input, message) => {
    expect(() => resolve(input)).toThrow(DemoError);
    expect(() => resolve(input)).toThrow(expect.objectContaining({ code: 'invalid-option', message }));
  });
});
