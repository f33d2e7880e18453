// Decode plans: parts of a row are numbered without gaps, heads divide their group, everything fits.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';
import { decodeBytes } from '../../src/decode/code.ts';
import { planDecode, type DecodePlan } from '../../src/decode/plan.ts';
import { HipError } from '../../src/errors/gpu-errors.ts';

const requests = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    queries: fc.integer({ min: 1, max: 4 }),
    keys: fc.integer({ min: 1, max: 300_000 }),
    kvHeads: fc.integer({ min: 1, max: 8 }),
    group: fc.constantFrom(1, 2, 4, 6, 16),
    headDim: fc.constantFrom(32, 80, 128, 256),
    type: fc.constantFrom('f16', 'f32'),
    slots: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
    sharedKeys: fc.boolean(),
    binding: fc.constantFrom(2 ** 25, 2 ** 27, 2 ** 31 - 4),
  })
  .map(({ group, type, slots, sharedKeys, binding, ...shape }) => ({
    shape: { ...shape, heads: shape.kvHeads * group },
    type,
    slots,
    sharedKeys,
    limits: { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: binding },
  }));

/** The plan, or undefined where the planner says that a limit forbids it. */
function planOrLimit(request: Parameters<typeof planDecode>[0]): DecodePlan | undefined {
  try {
    return planDecode(request);
  } catch (error) {
    if (error instanceof HipError && error.details['limit'] === 'maxStorageBufferBindingSize') return undefined;
    throw error;
  }
}

it('covers every key of every batch once', () => {
  fc.assert(
    fc.property(requests, (request) => {
      const { shape, limits, sharedKeys } = request;
      const plan = planOrLimit(request);
      // Long rows of many heads over many small bindings need more room for parts than one binding has.
      fc.pre(plan !== undefined);
      expect((shape.heads / shape.kvHeads) % plan.heads).toBe(0);
      expect(sharedKeys || plan.heads === 1).toBe(true);
      expect(decodeBytes({ headDim: shape.headDim, heads: plan.heads })).toBeLessThanOrEqual(
        limits.maxComputeWorkgroupStorageSize,
      );
      expect(plan.partBytes).toBeLessThanOrEqual(limits.maxStorageBufferBindingSize);
      for (let b = 0; b < shape.batch; b++) {
        const mine = plan.dispatches.filter(({ batchFirst, batches }) => b >= batchFirst && b < batchFirst + batches);
        expect(mine.map(({ window }) => window.first)).toEqual([
          0,
          ...mine.slice(0, -1).map(({ window }) => window.end),
        ]);
        expect(mine.at(-1)!.window.end).toBe(shape.keys);
        expect(
          mine.flatMap(({ splitFirst, splits }) => Array.from({ length: splits }, (_, i) => splitFirst + i)),
        ).toEqual(Array.from({ length: plan.splits }, (_, i) => i));
        for (const { window } of mine)
          expect(window.range.size).toBeLessThanOrEqual(limits.maxStorageBufferBindingSize);
      }
    }),
  );
});
