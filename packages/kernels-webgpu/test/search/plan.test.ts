// Search plans: slabs cover every query block once, bindings and scratch fit the limits, kernels follow the tier.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { HipError, PAPER_CONFIG, resolveConfig, DEFAULT_CONFIG } from '@hip/mask-search';
import { BOUNDS } from '../support/bounds.ts';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';
import { DEFAULT_TUNING, planSearch, type SearchPlan, type SearchRequest } from '../../src/search/plan.ts';
import { rowTiling } from '../../src/search/row-tiling.ts';
import { mostCandidates, windowsOf } from '../../src/search/slabs.ts';
import { stageKernel } from '../../src/search/stage-kernel.ts';

const requests: fc.Arbitrary<SearchRequest> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    queries: fc.integer({ min: 1, max: 200_000 }),
    keys: fc.integer({ min: 1, max: 200_000 }),
    kvHeads: fc.integer({ min: 1, max: 8 }),
    group: fc.constantFrom(1, 2, 4),
    headDim: fc.constantFrom(32, 64, 80, 128, 256),
    type: fc.constantFrom('f16', 'f32'),
    tier: fc.constantFrom('basic', 'subgroups', 'subgroup-matrix'),
    shareHeads: fc.boolean(),
    blockQ: fc.constantFrom(1, 16, 64),
    sink: fc.constantFrom(0, 16, 21),
    binding: fc.constantFrom(2 ** 27, 2 ** 28, 2 ** 31 - 4),
    memory: fc.constantFrom(16_384, 49_152),
  })
  .map(({ group, type, tier, shareHeads, blockQ, sink, binding, memory, ...shape }) => ({
    shape: { ...shape, heads: shape.kvHeads * group },
    config: resolveConfig({ ...BOUNDS, shareHeads, blockQ, sink }),
    type,
    profile: { tier, subgroupMaxSize: 32 },
    limits: { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: binding, maxComputeWorkgroupStorageSize: memory },
  }));

function planOrRefusal(request: SearchRequest): SearchPlan | 'unsupported' {
  try {
    return planSearch(request);
  } catch (error) {
    if (error instanceof HipError && error.code === 'unsupported') return error.code;
    throw error;
  }
}

it('slabs cover every query block of every batch once, within the limits', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const { shape, config, limits } = request;
      const plan = planOrRefusal(request);
      // What cannot be cut is refused by name.
      fc.pre(plan !== 'unsupported');
      const blocks = Math.ceil(shape.queries / config.blockQ);
      const seen = Array.from({ length: shape.batch }, () => new Uint8Array(blocks));
      const limit = limits.maxStorageBufferBindingSize;
      const number = request.type === 'f16' ? 2 : 4;
      for (const slab of plan.slabs) {
        for (let b = 0; b < slab.batches; b++)
          for (let n = 0; n < slab.blocks; n++) seen[slab.batchFirst + b]![slab.firstBlock + n]!++;
        expect(slab.query.size).toBeLessThanOrEqual(limit);
        expect(slab.query.offset % limits.minStorageBufferOffsetAlignment).toBe(0);
        // The bound part of q holds the slab's rows.
        const rowBytes = shape.heads * shape.headDim * number;
        const lastRow = Math.min(shape.queries, (slab.firstBlock + slab.blocks) * config.blockQ);
        const first = slab.batchFirst * shape.queries + slab.firstBlock * config.blockQ;
        const end = (slab.batchFirst + slab.batches - 1) * shape.queries + lastRow;
        expect(slab.query.offset).toBe(slab.queryBase * rowBytes);
        expect(slab.queryBase).toBeLessThanOrEqual(first);
        expect(slab.queryBase + slab.query.size / rowBytes).toBeGreaterThanOrEqual(end);
        for (const { range } of slab.windows) {
          expect(range.size).toBeLessThanOrEqual(limit);
          expect(range.offset % limits.minStorageBufferOffsetAlignment).toBe(0);
        }
        expect(Math.max(...slab.passes.flatMap(({ workgroups }) => workgroups))).toBeLessThanOrEqual(
          limits.maxComputeWorkgroupsPerDimension,
        );
      }
      expect(seen.every((batch) => batch.every((count) => count === 1))).toBe(true);
      for (const bytes of Object.values(plan.scratch)) expect(bytes).toBeLessThanOrEqual(limit);
    }),
    { numRuns: 60 },
  );
});

it('windows cover every row once but for the overlap, and fit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.constantFrom(64, 160, 512, 2048),
      fc.integer({ min: 16_384, max: 200_000 }),
      fc.nat(3),
      fc.nat(1000),
      (rows, rowBytes, limit, overlap, firstRow) => {
        const windows = windowsOf({ rows, rowBytes, limit, alignment: 256, overlap, firstRow });
        expect(windows[0]!.first).toBe(0);
        expect(windows.at(-1)!.end).toBe(rows);
        windows.forEach(({ first, end, base, range }, i) => {
          expect(range.offset).toBe(base * rowBytes);
          expect(base).toBeLessThanOrEqual(firstRow + first);
          expect(base + range.size / rowBytes).toBe(firstRow + end);
          expect(range.size).toBeLessThanOrEqual(limit);
          expect(range.offset % 256).toBe(0);
          expect(first + (i > 0 ? overlap : 0)).toBe(windows[i - 1]?.end ?? 0);
        });
      },
    ),
  );
});

it('tiles hold all rows and fit workgroup memory', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 128 }),
      fc.constantFrom(32, 80, 128, 256),
      fc.constantFrom(16_384, 32_768),
      (groups, headDim, memory) => {
        const limits = { ...DEFAULT_LIMITS, maxComputeWorkgroupStorageSize: memory };
        const { tile, tiles } = rowTiling(groups, 1, 'max', {
          shape: { batch: 1, queries: 1, keys: 1, heads: 1, kvHeads: 1, headDim },
          limits,
        });
        expect(tile * tiles).toBeGreaterThanOrEqual(groups);
        expect(tile * (tiles - 1)).toBeLessThan(groups);
        expect(tile * (headDim * 4 + 4) + 1024).toBeLessThanOrEqual(memory);
      },
    ),
  );
});

it('takes matrix kernels for the default configuration, and vector kernels where those do not apply', () => {
  const shape = { batch: 1, queries: 4096, keys: 4096, heads: 8, kvHeads: 2, headDim: 128 };
  const request: SearchRequest = {
    shape,
    config: BOUNDS,
    type: 'f16',
    profile: { tier: 'subgroup-matrix', subgroupMaxSize: 32 },
    limits: { ...DEFAULT_LIMITS, maxComputeWorkgroupStorageSize: 49_152 },
  };
  const kernels = (other: Partial<SearchRequest>): string[] =>
    (other.config ?? BOUNDS).stages!.map((stage, i) => stageKernel(stage, i, { ...request, ...other }, 1));
  expect(kernels({})).toEqual(['matrix-bound', 'matrix-children', 'matrix-chunks']);
  expect(kernels({ config: DEFAULT_CONFIG })).toEqual(['matrix-bound', 'matrix-chunks', 'matrix-vote']);
  // Without tilings, and where a vote is not on pairs, the general kernels.
  const general = { ...DEFAULT_TUNING, chunks: undefined, vote: undefined };
  expect(kernels({ config: DEFAULT_CONFIG, tuning: general })).toEqual(['matrix-bound', 'matrix-exact', 'matrix-mass']);
  const quads = DEFAULT_CONFIG.stages!.map((stage) => (stage.score === 'mass' ? { ...stage, chunk: 4 } : stage));
  expect(kernels({ config: resolveConfig({ ...DEFAULT_CONFIG, blockK: 4, stages: quads }) })[2]).toBe('matrix-mass');
  const vector = ['vector', 'vector', 'vector'];
  expect(kernels({ type: 'f32' })).toEqual(vector);
  expect(kernels({ profile: { tier: 'subgroups', subgroupMaxSize: 32 } })).toEqual(vector);
  expect(kernels({ config: resolveConfig({ ...BOUNDS, shareHeads: true }) })).toEqual(vector);
  expect(kernels({ shape: { ...shape, queries: 1 } })).toEqual(vector);
  expect(kernels({ config: resolveConfig({ ...BOUNDS, sink: 5 }), pageShift: 2 }).at(-1)).toBe('matrix-chunks');
  expect(kernels({ config: resolveConfig({ ...BOUNDS, window: 64 }) }).at(-1)).toBe('matrix-chunks');
  expect(kernels({ config: DEFAULT_CONFIG, shape: { ...shape, headDim: 80 } })).toEqual([
    'matrix-bound',
    'vector',
    'vector',
  ]);
});

it('holds scores of one slab at a time', () => {
  const shape = { batch: 1, queries: 2 ** 17, keys: 2 ** 17, heads: 32, kvHeads: 8, headDim: 128 };
  const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 2 ** 31 - 4 };
  const plan = planSearch({
    shape,
    config: BOUNDS,
    type: 'f16',
    profile: { tier: 'basic', subgroupMaxSize: 1 },
    limits,
  });
  expect(plan.scratch['scores']).toBeLessThanOrEqual(256 * 2 ** 20);
  expect(plan.slabs.length).toBeGreaterThan(1);
  expect(mostCandidates(2 ** 17, { config: BOUNDS })).toBe(2048);
});

it('says what does not fit', () => {
  const shape = { batch: 1, queries: 64, keys: 2 ** 20, heads: 8, kvHeads: 8, headDim: 128 };
  const base = { shape, type: 'f16', profile: { tier: 'basic', subgroupMaxSize: 1 }, limits: DEFAULT_LIMITS } as const;
  expect(() => planSearch({ ...base, config: PAPER_CONFIG })).toThrow(/the tree search needs all keys in one binding/);
  expect(() => planSearch({ ...base, config: BOUNDS, shape: { ...shape, headDim: 36 } })).toThrow('headDim is 36');
  expect(() => planSearch({ ...base, config: { ...PAPER_CONFIG, ensemble: { members: 2 } } })).toThrow(/ensembles/);
});
