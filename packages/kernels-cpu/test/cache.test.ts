// KeyValueCache: what it holds equals what a one-shot call is given, in float32 bit for bit and in float16 within its rounding.
import { describe, expect, it, beforeAll, afterAll } from 'vitest';
import fc from 'fast-check';
import { blockSparseAttention, denseAttention, denseMask, HipError, splitStages } from '@hip/mask-search';
import { createCpuRuntime, type CpuRuntime } from '../src/index.ts';
import { configs, rowsOf, tensors, TOLERANCE } from './support.ts';

const config = configs['bound and exact stages']!;

let cpu: CpuRuntime;
beforeAll(async () => {
  cpu = await createCpuRuntime({ threads: 2 });
});
afterAll(() => cpu.close());

/** Shapes that cross pages of 256 tokens, and the places where the sequence is cut. */
const pieces = fc.record({
  batch: fc.constantFrom(1, 2),
  headDim: fc.constantFrom(5, 8, 16),
  lengths: fc.array(fc.integer({ min: 1, max: 330 }), { minLength: 1, maxLength: 4 }),
  seed: fc.integer({ min: 0, max: 1 << 20 }),
});

describe('KeyValueCache', () => {
  it('prefill in chunks equals the rows of one call, whatever the cuts', () => {
    fc.assert(
      fc.property(pieces, ({ batch, headDim, lengths, seed }) => {
        const total = lengths.reduce((sum, n) => sum + n, 0);
        const shape = { batch, queries: total, keys: total, heads: 4, kvHeads: 2, headDim };
        const { q, k, v } = tensors(shape, seed);
        // Each row its own query block: masks do not depend on where the sequence is cut.
        const perRow = {
          ...config,
          blockQ: 1,
          stages: splitStages(config.stages!).scored.map((stage) => ({ ...stage, strideQ: 1 })),
        };
        const whole = cpu.hipAttention(q, k, v, shape, perRow);
        const dense = cpu.denseAttention(q, k, v, shape);
        using cache = cpu.createCache({ batch, heads: 4, kvHeads: 2, headDim, config: perRow });
        let at = 0;
        for (const length of lengths) {
          const [queries, keys] = [
            { batch, width: 4 * headDim },
            { batch, width: 2 * headDim },
          ];
          cache.append(rowsOf(k, keys, at, at + length), rowsOf(v, keys, at, at + length));
          const rows = rowsOf(q, queries, at, at + length);
          at += length;
          expect(cache.attend(rows).output).toBeAllclose(rowsOf(whole.output, queries, at - length, at), TOLERANCE);
          expect(cache.attendDense(rows)).toBeAllclose(rowsOf(dense, queries, at - length, at), TOLERANCE);
        }
        expect(cache.length).toBe(total);
      }),
      { numRuns: 12 },
    );
  });

  it('decode equals the reference over its mask, the window widened by the mask’s age', () => {
    const shape = { batch: 1, queries: 1, keys: 400, heads: 4, kvHeads: 2, headDim: 16 };
    const all = tensors({ ...shape, queries: 440, keys: 440 }, 9);
    using cache = cpu.createCache({
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      config: { ...config, refreshInterval: 4 },
      softcap: 5,
    });
    cache.append(all.k.slice(0, 400 * 32), all.v.slice(0, 400 * 32));
    let searched = 0;
    for (let keys = 401; keys <= 415; keys++) {
      cache.append(all.k.slice((keys - 1) * 32, keys * 32), all.v.slice((keys - 1) * 32, keys * 32));
      const q = all.q.slice((keys - 1) * 64, keys * 64);
      const output = cache.decode(q);
      const mask = cache.mask!;
      if (mask.keys === keys) searched++;
      const now = { ...shape, keys };
      const used = { ...mask, keys, window: mask.window + keys - mask.keys };
      const expected = blockSparseAttention(q, all.k.slice(0, keys * 32), all.v.slice(0, keys * 32), now, used, {
        softcap: 5,
      });
      expect(output).toBeAllclose(expected, TOLERANCE);
    }
    expect(searched).toBe(4);
    const before = cache.mask;
    cache.decode(all.q.slice(0, 64), { refresh: true });
    expect(cache.mask).not.toBe(before);
  });

  it.each(['f32', 'f16'] as const)('cut back, it goes on as one that never went further: %s', (type) => {
    const steps = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 90 })), { minLength: 1, maxLength: 8 });
    const total = 1600;
    const all = tensors({ batch: 1, queries: total, keys: total, heads: 2, kvHeads: 1, headDim: 8 }, 21);
    const other = tensors({ batch: 1, queries: total, keys: total, heads: 2, kvHeads: 1, headDim: 8 }, 22);
    fc.assert(
      fc.property(steps, steps, steps, fc.nat(3), (before, failed, after, refresh) => {
        const options = { heads: 2, kvHeads: 1, headDim: 8, type, config: { ...config, refreshInterval: 1 + refresh } };
        using cut = cpu.createCache(options);
        using never = cpu.createCache(options);
        const go = (cache: typeof cut, from: typeof all, rows: number): Float32Array => {
          const at = cache.length;
          const part = (x: Float32Array, width: number) => x.slice(at * width, (at + rows) * width);
          cache.append(part(from.k, 8), part(from.v, 8));
          const q = part(from.q, 16);
          return rows === 1 ? cache.decode(q) : cache.attend(q).output;
        };
        for (const rows of before) {
          go(cut, all, rows);
          go(never, all, rows);
        }
        const { length } = cut;
        const ages = cut.mask;
        for (const rows of failed.slice(0, 2)) go(cut, other, rows);
        cut.truncate(length);
        expect(cut.length).toBe(length);
        expect(ages?.queries === 1 ? cut.mask : ages).toBe(ages);
        for (const rows of after) expect(go(cut, all, rows)).toEqual(go(never, all, rows));
      }),
      { numRuns: 15 },
    );
  });

  it('refuses lengths to cut to that are none', () => {
    using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 4 });
    cache.append(new Float32Array(12), new Float32Array(12));
    for (const length of [-1, 4, 1.5, NaN])
      expect(() => cache.truncate(length)).toThrow(`length is ${length}: give an integer from 0 to 3`);
    cache.truncate(0);
    expect(cache.length).toBe(0);
    expect(cache.mask).toBeUndefined();
  });

  it.each([1, 2, 3, 8, 12])('dense attention of one token equals the reference, %i heads a key head', (group) => {
    const shape = { batch: 2, queries: 1, keys: 4500, heads: 2 * group, kvHeads: 2, headDim: 12 };
    const { q, k, v } = tensors(shape, group);
    using cache = cpu.createCache(shape);
    cache.append(k, v);
    expect(cache.attendDense(q)).toBeAllclose(denseAttention(q, k, v, shape), TOLERANCE);
    expect(cpu.denseAttention(q, k, v, shape, { causal: false })).toEqual(cache.attendDense(q));
  });

  it('attends over a mask of the caller: a sliding window', () => {
    const shape = { batch: 2, queries: 7, keys: 90, heads: 4, kvHeads: 2, headDim: 8 };
    const { q, k, v } = tensors(shape, 3);
    using cache = cpu.createCache(shape);
    cache.append(k, v);
    const mask = { ...denseMask(shape, true), window: 20 };
    expect(cache.attendMasked(q, mask)).toBeAllclose(blockSparseAttention(q, k, v, shape, mask), TOLERANCE);
    expect(cache.attendMasked(q, mask)).not.toEqual(cache.attendDense(q));
    expect(() => cache.attendMasked(q, { ...mask, keys: 91 })).toThrow(
      expect.objectContaining({ code: 'invalid-shape' }),
    );
  });

  it('decode with a fresh mask equals the last row of a prefill', () => {
    const shape = { batch: 1, queries: 333, keys: 333, heads: 4, kvHeads: 2, headDim: 16 };
    const { q, k, v } = tensors(shape, 2);
    const perRow = {
      ...config,
      blockQ: 1,
      stages: splitStages(config.stages!).scored.map((stage) => ({ ...stage, strideQ: 1 })),
    };
    using cache = cpu.createCache({ heads: 4, kvHeads: 2, headDim: 16, config: perRow });
    cache.append(k, v);
    const all = cache.attend(q).output;
    expect(cache.decode(q.slice(-64))).toBeAllclose(all.slice(-64), TOLERANCE);
  });

  it('float16: the error is that of rounding keys and values to 11 bits', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(6, 16, 32),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 0, max: 99 }),
        (headDim, keys, seed) => {
          const shape = { batch: 1, queries: Math.min(keys, 20), keys, heads: 2, kvHeads: 1, headDim };
          const { q, k, v } = tensors(shape, seed);
          using cache = cpu.createCache({ heads: 2, kvHeads: 1, headDim, type: 'f16', config });
          cache.append(k, v);
          const rounded = (x: Float32Array): Float32Array => Float32Array.from(x, (value) => Math.f16round(value));
          // Against the reference on rounded inputs: only float32 arithmetic differs.
          const [k16, v16] = [rounded(k), rounded(v)];
          expect(cache.attendDense(q)).toBeAllclose(denseAttention(q, k16, v16, shape), TOLERANCE);
          const { output, mask } = cache.attend(q);
          expect(output).toBeAllclose(blockSparseAttention(q, k16, v16, shape, mask), TOLERANCE);
          // Against unrounded inputs: values are off by 2⁻¹¹, scores by 2⁻¹¹·Σ|q·k|/√d, which weights follow.
          expect(cache.attendDense(q)).toBeAllclose(denseAttention(q, k, v, shape), {
            rtol: 0,
            atol: 2 ** -11 * (1 + Math.sqrt(headDim)),
          });
        },
      ),
      { numRuns: 20 },
    );
  });

  it('float16 rounds to nearest even, keeps what is small, and is infinite beyond its range', () => {
    using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 8, type: 'f16' });
    const v = Float32Array.of(1e9, -1e9, 65504, 65519.9, 2 ** -24, 2 ** -25 * 1.001, -(2 ** -14) * 0.75, 1 + 2 ** -11);
    cache.append(new Float32Array(8), v);
    const smallest = 2 ** -24;
    const held = [Infinity, -Infinity, 65504, 65504, smallest, smallest, -(2 ** -14) * 0.75, 1];
    expect([...cache.attendDense(new Float32Array(8))]).toEqual(held);
  });

  it('holds half the bytes in float16, and frees all of them', () => {
    const before = cpu.usedBytes;
    const bytes = (['f32', 'f16'] as const).map((type) => {
      using cache = cpu.createCache({ heads: 2, kvHeads: 2, headDim: 64, type, config: { stages: undefined } });
      const { k, v } = tensors({ batch: 1, queries: 1, keys: 4096, heads: 2, kvHeads: 2, headDim: 64 }, 1);
      cache.append(k, v);
      return cache.bytes;
    });
    expect(bytes[0]! / bytes[1]!).toBeCloseTo(2, 2);
    expect(cpu.usedBytes).toBe(before);
  });

  it('refuses what does not fit, with the fix', () => {
    using cache = cpu.createCache({ heads: 2, kvHeads: 1, headDim: 4, maxTokens: 10 });
    const thrown = (work: () => unknown): HipError => {
      try {
        work();
      } catch (error) {
        return error as HipError;
      }
      throw new Error('nothing was thrown');
    };
    expect(thrown(() => cache.append(new Float32Array(44), new Float32Array(44)))).toMatchObject({
      code: 'out-of-memory',
      details: { maxTokens: 10 },
    });
    expect(thrown(() => cache.append(new Float32Array(3), new Float32Array(3)))).toMatchObject({
      code: 'invalid-shape',
    });
    expect(thrown(() => cache.append(new Float32Array(4), new Float32Array(8)))).toMatchObject({
      code: 'invalid-shape',
    });
    expect(thrown(() => cache.attend(new Float32Array(8)))).toMatchObject({ code: 'invalid-shape', message: /append/ });
    cache.append(new Float32Array(8), new Float32Array(8));
    expect(thrown(() => cache.decode(new Float32Array(16)))).toMatchObject({ message: /decode takes one/ });
    cache.dispose();
    cache.dispose();
    expect(thrown(() => cache.decode(new Float32Array(8)))).toMatchObject({ code: 'internal', message: /disposed/ });
    expect(thrown(() => cpu.createCache({ heads: 3, kvHeads: 2, headDim: 4 }))).toMatchObject({
      code: 'invalid-shape',
    });
  });
});
