// Attention and masks of both binaries against the float64 reference, each other, and themselves on other numbers of threads.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { blockSparseAttention, denseAttention, searchBlockMask, splitStages } from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { configs, Misses, shapes, tensors, TOLERANCE, wholeTensors } from './support.ts';

for (const simd of ['plain', 'relaxed'] as const) {
  describe(`CpuRuntime, ${simd} SIMD`, async () => {
    const cpu = await createCpuRuntime({ simd, threads: 2 });
    afterAll(() => cpu.close());

    it('dense attention equals float64', () => {
      fc.assert(
        fc.property(shapes, fc.constantFrom(undefined, 3), ({ shape, causal, seed }, softcap) => {
          const { q, k, v } = tensors(shape, seed);
          const options = { causal, scale: 0.7, softcap };
          expect(cpu.denseAttention(q, k, v, shape, options)).toBeAllclose(
            denseAttention(q, k, v, shape, options),
            TOLERANCE,
          );
        }),
        { numRuns: 40 },
      );
    });

    for (const [name, config] of Object.entries(configs)) {
      it(`${name}: the mask is the reference's, and so is the attention over it`, () => {
        // Votes are on small integers (compact.test.ts): near-ties are less rare.
        const votes = config.stages?.at(-1)?.score === 'mass';
        const misses = new Misses();
        fc.assert(
          fc.property(shapes, ({ shape, causal, seed }) => {
            const { q, k, v } = tensors(shape, seed);
            const expected = searchBlockMask(q, k, shape, { ...config, causal });
            const { output, mask } = cpu.hipAttention(q, k, v, shape, { ...config, causal });
            // Random continuous scores are further apart than float32 rounding, but for the rare near-tie.
            const different = expected.starts.filter((start, i) => start !== mask.starts[i]).length;
            expect(different / Math.max(1, expected.starts.length)).toBeLessThanOrEqual(votes ? 1 : 0.01);
            misses.add(expected, mask);
            for (const [cell, count] of mask.counts.entries())
              expect(Math.abs(count - expected.counts[cell]!)).toBeLessThanOrEqual(votes ? 3 : 0);
            expect(output).toBeAllclose(blockSparseAttention(q, k, v, shape, mask), TOLERANCE);
            expect(cpu.blockSparseAttention(q, k, v, shape, mask)).toEqual(output);
            expect(cpu.maskSearch(q, k, shape, { ...config, causal }).starts).toEqual(mask.starts);
          }),
          { numRuns: 25 },
        );
        expect(misses.share).toBeLessThan(simd === 'plain' ? 0.01 : 0.03);
      });
    }

    it.each(Object.entries(configs).filter(([, { stages }]) => !stages?.some(({ rows }) => rows === 'mean')))(
      '%s: masks equal the reference bit for bit where scores are exact, ties included',
      (_, config) => {
        fc.assert(
          fc.property(shapes, ({ shape, causal, seed }) => {
            const { q, k } = wholeTensors(shape, seed);
            const expected = searchBlockMask(q, k, shape, { ...config, causal });
            expect(cpu.maskSearch(q, k, shape, { ...config, causal })).toEqual(expected);
          }),
          { numRuns: 25 },
        );
      },
    );

    it('splits the keys of few rows into parts and merges them', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 8 }),
          fc.integer({ min: 4096, max: 7000 }),
          fc.boolean(),
          fc.constantFrom(undefined, 2),
          (queries, keys, causal, softcap) => {
            const shape = { batch: 1, queries, keys, heads: 2, kvHeads: 1, headDim: 12 };
            const { q, k, v } = tensors(shape, keys);
            const options = { causal, softcap };
            const expected = denseAttention(q, k, v, shape, options);
            expect(cpu.denseAttention(q, k, v, shape, options)).toBeAllclose(expected, TOLERANCE);
            const config = { ...configs['bound and exact stages'], window: 4600, causal };
            const { output, mask } = cpu.hipAttention(q, k, v, shape, config, { softcap });
            expect(output).toBeAllclose(blockSparseAttention(q, k, v, shape, mask, { softcap }), TOLERANCE);
          },
        ),
        { numRuns: 6 },
      );
    });
  });
}

describe('both binaries', () => {
  it('agree within the tolerance, and bit for bit on the masks of exact scores', async () => {
    using plain = await createCpuRuntime({ threads: 1, simd: 'plain' });
    using relaxed = await createCpuRuntime({ threads: 1, simd: 'relaxed' });
    const config = configs['binary stages, ragged']!;
    fc.assert(
      fc.property(shapes, ({ shape, causal, seed }) => {
        const { q, k, v } = tensors(shape, seed);
        const options = { causal, scale: 0.5 };
        const one = plain.denseAttention(q, k, v, shape, options);
        expect(relaxed.denseAttention(q, k, v, shape, options)).toBeAllclose(one, TOLERANCE);
        const whole = wholeTensors(shape, seed);
        const exact = {
          ...config,
          stages: splitStages(config.stages!).scored.map((stage) => ({ ...stage, rows: 'max' as const })),
          causal,
        };
        expect(relaxed.maskSearch(whole.q, whole.k, shape, exact)).toEqual(
          plain.maskSearch(whole.q, whole.k, shape, exact),
        );
      }),
      { numRuns: 25 },
    );
  });

  it('give the same bits with one thread and with three', async () => {
    using one = await createCpuRuntime({ threads: 1 });
    using three = await createCpuRuntime({ threads: 3 });
    for (const queries of [1, 500]) {
      const shape = { batch: 2, queries, keys: 5000, heads: 4, kvHeads: 2, headDim: 16 };
      const { q, k, v } = tensors(shape, 1);
      const config = { k: 128, window: 64 };
      expect(three.denseAttention(q, k, v, shape)).toEqual(one.denseAttention(q, k, v, shape));
      expect(three.hipAttention(q, k, v, shape, config)).toEqual(one.hipAttention(q, k, v, shape, config));
    }
  });

  it('treat long sequences in parts as one', async () => {
    using cpu = await createCpuRuntime({ threads: 2 });
    // q takes 40 MB: three parts.
    const shape = { batch: 1, queries: 40_000, keys: 40_000, heads: 4, kvHeads: 1, headDim: 64 };
    expect(cpu.plan(shape, {}).chunks).toBe(3);
    const { q, k, v } = tensors(shape, 3);
    const { output, mask } = cpu.hipAttention(q, k, v, shape);
    const last = { ...shape, queries: 64 };
    const from = (shape.queries - 64) * 256;
    const row = cpu.hipAttention(q.subarray(from), k, v, last);
    expect(output.subarray(from)).toEqual(row.output);
    const blocks = mask.queryBlocks;
    for (let h = 0; h < 4; h++) {
      const at = ((h + 1) * blocks - 1) * mask.capacity;
      const own = ((h + 1) * row.mask.queryBlocks - 1) * mask.capacity;
      expect(mask.starts.subarray(at, at + mask.capacity)).toEqual(row.mask.starts.subarray(own, own + mask.capacity));
    }
  });
});
