// Memory: plans bound what calls use; the allocator never hands out the same byte twice; host and kernels agree on the job block.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { DEFAULT_CONFIG, HipError, INFINITE_HIP_CONFIG, PAPER_CONFIG } from '@hip/mask-search';
import { createCpuRuntime, planMemory } from '../src/index.ts';
import { queryChunks } from '../src/plan/layout.ts';
import { Heap, Scope } from '../src/runtime/heap.ts';
import { JOB, STAGE_BYTES } from '../src/runtime/job.ts';
import { configs, shapes, tensors } from './support.ts';

const GIB = 2 ** 30;

describe('plans', () => {
  it('are at least what a call uses, and not far from it', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.constantFrom(undefined, ...Object.values(configs)),
        async ({ shape, causal, seed }, config) => {
          using cpu = await createCpuRuntime({ threads: 1 });
          const { q, k, v } = tensors(shape, seed);
          if (config) cpu.hipAttention(q, k, v, shape, { ...config, causal });
          else cpu.denseAttention(q, k, v, shape, { causal });
          const { total } = cpu.plan(shape, config && { ...config, causal });
          expect(total).toBeGreaterThanOrEqual(cpu.peakBytes);
          // A single dense row takes less where all numbers are finite.
          expect(cpu.peakBytes).toBeGreaterThan(!config && shape.queries === 1 ? 0 : total / 2);
          expect(cpu.usedBytes).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('bound long calls whose queries pass through in parts', async () => {
    using cpu = await createCpuRuntime({ threads: 2 });
    const shape = { batch: 1, queries: 70_000, keys: 70_000, heads: 2, kvHeads: 1, headDim: 64 };
    const { q, k, v } = tensors(shape, 1);
    cpu.hipAttention(q, k, v, shape);
    const plan = cpu.plan(shape, {});
    expect(plan.chunks).toBeGreaterThan(1);
    expect(plan.total).toBeGreaterThanOrEqual(cpu.peakBytes);
    // Far from the 17 MB of q and of the output each, and farther from the score matrix.
    expect(plan.staging).toBeLessThan(40 * 2 ** 20);
    expect(plan.materialized / plan.total).toBeGreaterThan(200);
  });

  it('bound a single row over many keys, finite or not', async () => {
    const shape = { batch: 1, queries: 1, keys: 16_000, heads: 16, kvHeads: 16, headDim: 4 };
    const { q, k, v } = tensors(shape, 1);
    for (const value of [0, NaN]) {
      using cpu = await createCpuRuntime({ threads: 1 });
      k[9] = value;
      cpu.denseAttention(q, k, v, shape);
      expect(cpu.plan(shape).total).toBeGreaterThanOrEqual(cpu.peakBytes);
    }
  });

  it('bound a cache that grows chunk by chunk to its maxTokens', async () => {
    for (const type of ['f32', 'f16'] as const) {
      using cpu = await createCpuRuntime({ threads: 2 });
      using cache = cpu.createCache({ heads: 2, kvHeads: 2, headDim: 16, type, maxTokens: 5000 });
      const shape = { batch: 1, queries: 500, keys: 5000, heads: 2, kvHeads: 2, headDim: 16 };
      const { q, k, v } = tensors(shape, 1);
      for (let at = 0; at < 5000; at += 500) {
        cache.append(k.slice(at * 32, (at + 500) * 32), v.slice(at * 32, (at + 500) * 32));
        cache.attend(q);
      }
      expect(cpu.plan(shape, {}, type).total).toBeGreaterThanOrEqual(cpu.peakBytes);
    }
  });

  it('a million tokens, two key-value heads of 64, fit 32-bit memory with room', () => {
    const keys = 2 ** 20;
    for (const [heads, queries] of [
      [2, keys],
      [16, keys],
      [16, 8192],
    ] as const) {
      const shape = { batch: 1, queries, keys, heads, kvHeads: 2, headDim: 64 };
      for (const config of [DEFAULT_CONFIG, PAPER_CONFIG, INFINITE_HIP_CONFIG]) {
        const plan = planMemory({ shape, config, threads: 16 });
        expect(plan.total).toBeLessThan(2 * GIB);
        expect(planMemory({ shape, config, threads: 16, type: 'f16' }).pages).toBeLessThan(0.51 * GIB);
      }
    }
  });

  it('parts of the queries cover each row once, at multiples of the block', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 300_000 }),
        fc.constantFrom(1, 8, 32),
        fc.constantFrom(24, 64, 128),
        (batch, queries, heads, blockQ) => {
          let [b, row] = [0, 0];
          for (const chunk of queryChunks({ batch, queries, heads, headDim: 128 }, blockQ)) {
            expect([chunk.batch, chunk.row, chunk.row % blockQ]).toEqual([b, row, 0]);
            expect(chunk.batches === 1 || chunk.rows === queries).toBe(true);
            row += chunk.rows;
            if (row === queries) [b, row] = [b + chunk.batches, 0];
          }
          expect([b, row]).toEqual([batch, 0]);
        },
      ),
    );
  });
});

describe('Heap', () => {
  it('hands out aligned memory that does not overlap, and takes all of it back', () => {
    const operation = fc.record({ bytes: fc.integer({ min: 0, max: 200_000 }), drop: fc.nat() });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const heap = new Heap(new WebAssembly.Memory({ initial: 1, maximum: 1000 }), 100);
        const live: { at: number; bytes: number }[] = [];
        for (const { bytes, drop } of operations) {
          const at = heap.allocate(bytes);
          expect(at % 64).toBe(0);
          expect(at + bytes).toBeLessThanOrEqual(heap.memory.buffer.byteLength);
          for (const other of live) expect(at + bytes <= other.at || other.at + other.bytes <= at).toBe(true);
          live.push({ at, bytes: Math.max(bytes, 1) });
          if (drop % 2 === 0) heap.release(live.splice(drop % live.length, 1)[0]!.at);
        }
        for (const { at } of live) heap.release(at);
        expect(heap.used).toBe(0);
        expect(heap.allocate(1)).toBe(128);
      }),
      { numRuns: 50 },
    );
  });

  it('reports what it cannot give, before and when the engine refuses', () => {
    const heap = new Heap(new WebAssembly.Memory({ initial: 1, maximum: 2 }), 0);
    expect(() => heap.allocate(2 ** 32)).toThrow(HipError);
    expect(() => heap.allocate(2 ** 32)).toThrow(/addresses 4294967296/);
    expect(() => heap.allocate(200_000)).toThrow(/refused/);
    expect(() => heap.release(64)).toThrow(/not allocated/);
    using scope = new Scope(heap);
    scope.allocate(1000);
    expect(heap.used).toBe(1024);
  });
});

describe('the job block', () => {
  it('has the same fields at the same places on both sides', () => {
    const source = readFileSync(join(import.meta.dirname, '../assembly/job.ts'), 'utf8');
    const fields = [...source.matchAll(/^export const (\w+): usize = (\d+);/gm)].map(
      ([, name, at]) => [name!, Number(at)] as const,
    );
    expect(Object.fromEntries(fields)).toEqual({ ...JOB, STAGE_BYTES });
    const places = fields.filter(([name]) => name !== 'STAGE_BYTES').map(([, at]) => at);
    expect(new Set(places).size).toBe(places.length);
  });
});
