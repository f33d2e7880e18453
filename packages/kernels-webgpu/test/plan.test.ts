// The attention planner: every row and key once, in bindings and workgroups that fit, without a device.
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { DeviceProfile, Tier } from '../src/device/features.ts';
import { DEFAULT_LIMITS, type DeviceLimits } from '../src/device/limits.ts';
import { planAttention, type AttentionPlan } from '../src/attention/plan.ts';
import { tileWorkgroupBytes } from '../src/attention/tile-parts.ts';
import { matrixWorkgroupBytes, variantRows } from '../src/attention/variants.ts';
import { HipError } from '../src/errors/gpu-errors.ts';

const profiles: Record<Tier, DeviceProfile> = {
  basic: { tier: 'basic', shaderF16: false, subgroupMinSize: 1, subgroupMaxSize: 1, timestamps: false },
  subgroups: { tier: 'subgroups', shaderF16: false, subgroupMinSize: 4, subgroupMaxSize: 64, timestamps: true },
  'subgroup-matrix': {
    tier: 'subgroup-matrix',
    shaderF16: true,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    timestamps: true,
  },
};

const requests = fc.record({
  shape: fc
    .record({
      batch: fc.integer({ min: 1, max: 3 }),
      queries: fc.integer({ min: 1, max: 5000 }),
      keys: fc.integer({ min: 1, max: 5000 }),
      kvHeads: fc.integer({ min: 1, max: 4 }),
      group: fc.integer({ min: 1, max: 4 }),
      headDim: fc.constantFrom(16, 40, 64, 72, 80, 96, 128, 256, 512),
    })
    .map(({ group, ...shape }) => ({ ...shape, heads: shape.kvHeads * group })),
  type: fc.constantFrom('f32' as const, 'f16' as const),
  blockQ: fc.constantFrom(0, 1, 16, 64, 100),
  blockK: fc.constantFrom(2, 16, 64),
  tier: fc.constantFrom(...(Object.keys(profiles) as Tier[])),
  limits: fc.record({
    maxStorageBufferBindingSize: fc.constantFrom(2 ** 18, 2 ** 20, 2 ** 23, 2 ** 27),
    maxComputeWorkgroupStorageSize: fc.constantFrom(16_384, 32_768, 49_152),
    maxComputeWorkgroupsPerDimension: fc.constantFrom(64, 65_535),
  }),
});

/** The plan, or which limit forbids it. */
function planOrLimit(plan: () => AttentionPlan): AttentionPlan | 'maxStorageBufferBindingSize' {
  try {
    return plan();
  } catch (error) {
    if (error instanceof HipError && error.details['limit'] === 'maxStorageBufferBindingSize')
      return 'maxStorageBufferBindingSize';
    throw error;
  }
}

describe('planAttention', () => {
  it('covers each (batch, row, key) once, keys of a row in order, within all limits', () => {
    fc.assert(
      fc.property(requests, ({ shape, type, blockQ, blockK, tier, limits: some }) => {
        const limits: DeviceLimits = { ...DEFAULT_LIMITS, ...some };
        const mask =
          blockQ === 0
            ? undefined
            : { blockQ, blockK, capacity: 8, maskHeads: 1, queryBlocks: Math.ceil(shape.queries / blockQ) };
        const plan = planOrLimit(() => planAttention({ shape, type, mask }, profiles[tier], limits));
        // Only what cannot be split: one unit of rows or keys, or batch elements at unaligned places.
        fc.pre(plan !== 'maxStorageBufferBindingSize');
        const next = new Map<string, number>();
        const bytes = type === 'f32' ? 4 : 2;
        for (const d of plan.dispatches) {
          for (let batch = d.batchFirst; batch < d.batchFirst + d.batches; batch++) {
            const key = `${batch}/${d.rowFirst}/${d.rowEnd}`;
            expect(d.keyFirst).toBe(next.get(key) ?? 0);
            expect(d.carry.in).toBe(d.keyFirst > 0);
            expect(d.carry.out).toBe(d.keyEnd < shape.keys);
            next.set(key, d.keyEnd);
          }
          for (const { offset, size } of [d.query, d.key]) {
            expect(size).toBeLessThanOrEqual(limits.maxStorageBufferBindingSize);
            expect(offset % limits.minStorageBufferOffsetAlignment).toBe(0);
          }
          expect(d.query.size).toBe(
            (d.batches > 1 ? d.batches * shape.queries : d.rowEnd - d.rowFirst) * shape.heads * shape.headDim * bytes,
          );
          expect(d.tiles).toBeLessThanOrEqual(limits.maxComputeWorkgroupsPerDimension);
          expect(d.tiles * variantRows(plan.variant)).toBeGreaterThanOrEqual(d.rowEnd - d.rowFirst);
          expect(d.rowFirst % plan.blockQ).toBe(0);
        }
        for (const end of next.values()) expect(end).toBe(shape.keys);
        for (let batch = 0; batch < shape.batch; batch++) {
          const rows = [...next.keys()]
            .map((key) => key.split('/').map(Number) as [number, number, number])
            .filter(([b]) => b === batch);
          rows.sort(([, a], [, b]) => a - b);
          let row = 0;
          for (const [, first, end] of rows) {
            expect(first).toBe(row);
            row = end;
          }
          expect(row).toBe(shape.queries);
        }
        const { variant } = plan;
        const workgroup =
          variant.kind === 'tile' ? tileWorkgroupBytes(variant) : matrixWorkgroupBytes(variant, shape.headDim);
        expect(workgroup).toBeLessThanOrEqual(limits.maxComputeWorkgroupStorageSize);
        expect(variant.kind === 'matrix' && type === 'f32').toBe(false);
      }),
      { numRuns: 400 },
    );
  });

  it('picks matrices for f16 where the device has them, and not for a lower tier', () => {
    const shape = { batch: 1, queries: 512, keys: 512, heads: 4, kvHeads: 2, headDim: 128 };
    const limits = { ...DEFAULT_LIMITS, maxComputeWorkgroupStorageSize: 49_152 };
    expect(planAttention({ shape, type: 'f16' }, profiles['subgroup-matrix'], limits).variant.kind).toBe('matrix');
    expect(planAttention({ shape, type: 'f32' }, profiles['subgroup-matrix'], limits).variant.kind).toBe('tile');
    expect(planAttention({ shape, type: 'f16' }, profiles.subgroups, limits).variant.kind).toBe('tile');
    expect(
      planAttention({ shape: { ...shape, queries: 5 }, type: 'f16' }, profiles['subgroup-matrix'], limits).variant.kind,
    ).toBe('tile');
  });

  it('names head dimensions it cannot take', () => {
    const shape = { batch: 1, queries: 5, keys: 5, heads: 1, kvHeads: 1, headDim: 36 };
    expect(() => planAttention({ shape, type: 'f32' }, profiles.basic, DEFAULT_LIMITS)).toThrow(/headDim is 36/);
    expect(() =>
      planAttention({ shape: { ...shape, headDim: 520 }, type: 'f32' }, profiles.basic, DEFAULT_LIMITS),
    ).toThrow(/multiples of 8 from 8 to 512/);
  });
});
