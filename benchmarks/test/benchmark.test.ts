// The harness: interleaving, medians, and every benchmark that the list names.
import { describe, expect, it } from 'vitest';
import { environment, interleave, median } from '../src/benchmark.ts';
import { load, registry } from '../src/registry.ts';

describe('interleave', () => {
  it('runs the candidates in turn and forgets the warm-up', async () => {
    const order: string[] = [];
    const times = await interleave(
      { a: () => order.push('a'), b: async () => order.push('b') },
      { repeats: 3, warmup: 2 },
    );
    expect(order.join('')).toBe('ab'.repeat(5));
    expect(times['a']).toHaveLength(3);
    expect(times['b']).toHaveLength(3);
  });
});

describe('median', () => {
  it('is the middle one, or the mean of the two', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
});

it('knows the machine', () => {
  expect(environment()).toMatchObject({ node: process.version, cores: expect.any(Number), cpu: expect.any(String) });
});

describe('registry', () => {
  it('has every benchmark', () => {
    expect(Object.keys(registry).sort()).toEqual(
      [
        'adapters',
        'cpu-attention',
        'cpu-linear',
        'embeddings',
        'speculative',
        'instatune',
        'linas',
        'llm-cpu',
        'mask',
        'model-decode',
        'onnx-cpu',
        'sampling',
        'serve-soak',
        'nsga2',
        'peers',
        'predictor-table',
        'predictors',
        'quality',
        'quality-smollm2',
        'frontier',
        'playground',
        'search-lanes',
        'search-trials',
        'early-stopping',
        'size',
        'webgpu',
      ].sort(),
    );
  });

  it.each(Object.keys(registry))('%s loads', async (name) => {
    expect(await load(name)).toMatchObject({ name, description: expect.any(String), run: expect.any(Function) });
  });

  it('says what there is when asked for something else', async () => {
    await expect(load('speed')).rejects.toThrow(/no benchmark "speed": use one of .*nsga2/);
  });
});
