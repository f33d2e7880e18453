// KeyValueCache.save: a cache made again from bytes goes on as the one it was made from.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createCpuRuntime, type CacheOptions, type CpuRuntime, type KeyValueCache } from '../src/index.ts';
import { configs, randomTensor } from './support.ts';

const [HEADS, KV_HEADS, DIM] = [4, 2, 8];

describe('a cache that was saved', () => {
  let cpu: CpuRuntime;
  beforeAll(async () => {
    cpu = await createCpuRuntime({ threads: 1 });
  });
  afterAll(() => cpu.close());

  function again(cache: KeyValueCache, options: CacheOptions): KeyValueCache {
    // As bytes and JSON-like data, which is what a file holds.
    const saved = structuredClone(cache.save());
    const pages = Array.from({ length: saved.pages }, (_, page) => structuredClone(cache.readPage(page)));
    const made = cpu.createCache(options);
    made.restore(saved);
    pages.forEach((bytes, page) => made.writePage(page, bytes));
    return made;
  }

  /** Steps of both. @returns what they gave */
  function step(cache: KeyValueCache, kind: 'decode' | 'attend' | 'dense', rows: number, seed: number): unknown {
    const count = kind === 'decode' ? 1 : rows;
    cache.append(randomTensor(count * KV_HEADS * DIM, seed), randomTensor(count * KV_HEADS * DIM, seed + 1));
    const q = randomTensor(count * HEADS * DIM, seed + 2);
    if (kind === 'dense') return cache.attendDense(q);
    return kind === 'decode' ? { output: cache.decode(q), mask: cache.mask } : cache.attend(q);
  }

  it('goes on as it would have: keys, values, searches, cuts', () => {
    const kinds = fc.constantFrom('decode', 'decode', 'attend', 'dense' as const);
    const steps = fc.array(fc.tuple(kinds, fc.integer({ min: 1, max: 60 }), fc.nat(1000)), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(configs)),
        fc.constantFrom('f16', 'f32' as const),
        fc.integer({ min: 1, max: 600 }),
        steps,
        steps,
        fc.nat(3),
        (config, type, tokens, before, after, cut) => {
          const options = { heads: HEADS, kvHeads: KV_HEADS, headDim: DIM, type, config } as CacheOptions;
          using cache = cpu.createCache(options);
          cache.append(randomTensor(tokens * KV_HEADS * DIM, 1), randomTensor(tokens * KV_HEADS * DIM, 2));
          for (const [kind, rows, seed] of before) step(cache, kind as 'decode', rows, seed);
          using copy = again(cache, options);
          expect(copy.length).toBe(cache.length);
          for (const each of [cache, copy]) each.truncate(Math.max(1, each.length - cut));
          for (const [kind, rows, seed] of after) {
            expect(step(copy, kind as 'decode', rows, seed)).toEqual(step(cache, kind as 'decode', rows, seed));
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is made of what it was made of', () => {
    const options = { heads: HEADS, kvHeads: KV_HEADS, headDim: DIM };
    using cache = cpu.createCache(options);
    cache.append(new Float32Array(300 * KV_HEADS * DIM).fill(NaN), new Float32Array(300 * KV_HEADS * DIM));
    const saved = cache.save();
    expect(saved).toMatchObject({ tokens: 300, pages: 2, special: true });
    expect(() => cache.restore(saved)).toThrow(/holds 300 tokens/);
    expect(() => cache.readPage(2)).toThrow(/has 2/);
    using made = cpu.createCache(options);
    made.restore(saved);
    expect(() => made.writePage(0, new Uint8Array(8))).toThrow(/takes/);
    using empty = again(cpu.createCache(options), options);
    expect(empty.length).toBe(0);
  });
});
