// Layouts and plans by their rules, without a device.
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';
import type { Tier } from '../../src/device/features.ts';
import { planMatrix, planProduct, planTop, WEIGHT_TYPES, type ProductRequest } from '../../src/model/index.ts';
import { FEW_ROWS, rowKernelBytes } from '../../src/model/products/row-code.ts';
import { matrixKernelBytes, tileOf } from '../../src/model/products/matrix-tiling.ts';
import { TILE_ROWS } from '../../src/model/products/tile-code.ts';
import { packRows, rowLayout } from '../../src/model/weights/layout.ts';
import { TYPES } from './support.ts';

describe('rows on the GPU', () => {
  it('hold every byte of the file once, in words of 16 bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...TYPES),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(3),
        (type, blocks, rows, shift) => {
          const layout = rowLayout(type, blocks * WEIGHT_TYPES[type].values);
          expect(layout.rowBytes % 16).toBe(0);
          expect(layout.rowBytes - layout.fileBytes).toBeLessThan(32);
          const held = new Uint8Array(shift + rows * layout.fileBytes).map((_, i) => 1 + ((i * 7) % 255));
          const bytes = held.subarray(shift);
          const packed = packRows(layout, bytes);
          const sorted = (all: Uint8Array): number[] => [...all].toSorted((a, b) => a - b);
          for (let row = 0; row < rows; row++) {
            const own = packed.subarray(row * layout.rowBytes, (row + 1) * layout.rowBytes);
            expect(sorted(own.filter((byte) => byte !== 0))).toEqual(
              sorted(bytes.subarray(row * layout.fileBytes, (row + 1) * layout.fileBytes)),
            );
          }
        },
      ),
    );
  });

  it('are split where a binding ends', () => {
    const limits = { maxStorageBufferBindingSize: 128 * 2 ** 20, maxBufferSize: 256 * 2 ** 20 };
    const { partRows, bytes } = planMatrix({ type: 'F16', rows: 151_936, columns: 1024 }, limits);
    expect(partRows).toEqual([65_536, 65_536, 20_864]);
    expect(bytes).toBe(151_936 * 2048);
    expect(() => planMatrix({ type: 'F32', rows: 1, columns: 2 ** 26 }, limits)).toThrow(/a row of 67108864 F32/);
  });
});

describe('products', () => {
  const requests = fc.record({
    rows: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 9, max: 5000 })),
    x: fc.constantFrom('f32' as const, 'f16' as const),
    targets: fc.array(
      fc.record({
        layout: fc.constantFrom(rowLayout('F16', 256), rowLayout('F32', 256), rowLayout('Q4_K', 256)),
        parts: fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 3 }),
        bias: fc.boolean(),
      }),
      { minLength: 1, maxLength: 6 },
    ),
    norm: fc.constantFrom(undefined, { weight: true, unitOffset: false }),
  });
  const profile = (tier: Tier) => ({
    tier,
    shaderF16: true,
    subgroupMinSize: tier === 'basic' ? 1 : 32,
    subgroupMaxSize: tier === 'basic' ? 1 : 32,
    timestamps: false,
  });

  it('compute every output of every buffer once, within the limits of any device', () => {
    fc.assert(
      fc.property(requests, fc.constantFrom<Tier>('basic', 'subgroups', 'subgroup-matrix'), (request, tier) => {
        const { variant, dispatches } = planProduct(request, profile(tier), DEFAULT_LIMITS);
        const seen = new Set<string>();
        for (const { parts, starts, workgroups } of dispatches) {
          expect(Math.max(...workgroups.map((count) => count ?? 1))).toBeLessThanOrEqual(
            DEFAULT_LIMITS.maxComputeWorkgroupsPerDimension,
          );
          expect(new Set(parts.map(({ target }) => target)).size).toBe(parts.length);
          expect(new Set(parts.map(({ target }) => request.targets[target]!.layout)).size).toBe(1);
          const buffers = parts.reduce((sum, { target }) => sum + (request.targets[target]!.bias ? 3 : 2), 1);
          expect(buffers + (request.norm ? 1 : 0)).toBeLessThanOrEqual(8);
          const step =
            variant.kind === 'rows'
              ? variant.outputs
              : variant.kind === 'tiles'
                ? TILE_ROWS
                : tileOf(variant.tiling).outputs;
          for (const [i, { target, part }] of parts.entries()) {
            seen.add(`${target}.${part}`);
            const end = starts[i + 1] ?? (variant.kind === 'rows' ? workgroups[0] * workgroups[1] : workgroups[0]);
            const needed = Math.ceil(request.targets[target]!.parts[part]! / step);
            // Behind the last part there may be workgroups that have nothing to do.
            const own = end - starts[i]!;
            expect(i + 1 < parts.length ? own : Math.min(own, needed)).toBe(needed);
          }
          const [, tilesOfRows, groupsOfRows = 1] = workgroups;
          const covered =
            variant.kind === 'rows'
              ? groupsOfRows * FEW_ROWS
              : tilesOfRows * (variant.kind === 'tiles' ? TILE_ROWS : tileOf(variant.tiling).rows);
          expect(covered).toBeGreaterThanOrEqual(request.rows);
        }
        expect(seen.size).toBe(request.targets.reduce((sum, { parts }) => sum + parts.length, 0));
        const { rows } = request;
        const [gated, normed] = [false, request.norm !== undefined];
        const memory =
          variant.kind === 'matrices'
            ? matrixKernelBytes(variant.tiling)
            : variant.kind === 'rows'
              ? rowKernelBytes({ ...variant, rows: Math.min(rows, FEW_ROWS), gated, normed })
              : 0;
        expect(memory).toBeLessThanOrEqual(DEFAULT_LIMITS.maxComputeWorkgroupStorageSize);
      }),
    );
  });

  it('go to matrix units where there are some, and to f32 where both factors are', () => {
    const target = (type: 'F16' | 'F32'): ProductRequest['targets'][number] => ({
      layout: rowLayout(type, 1024),
      parts: [4096],
      bias: false,
    });
    const kind = (rows: number, type: 'F16' | 'F32', tier: Tier, x: 'f16' | 'f32' = 'f32') =>
      planProduct({ rows, x, targets: [target(type)] }, profile(tier), DEFAULT_LIMITS).variant.kind;
    expect(kind(8, 'F16', 'subgroup-matrix')).toBe('rows');
    expect(kind(128, 'F16', 'subgroup-matrix')).toBe('rows');
    expect(kind(129, 'F16', 'subgroup-matrix')).toBe('matrices');
    expect(kind(129, 'F32', 'subgroup-matrix', 'f16')).toBe('matrices');
    expect(kind(129, 'F32', 'subgroup-matrix')).toBe('tiles');
    expect(kind(9, 'F16', 'subgroups')).toBe('tiles');
  });
});

it('candidates are sorted until one slice is left', () => {
  expect(planTop(151_936, 64)).toEqual([
    { length: 151_936, slices: 149 },
    { length: 9536, slices: 10 },
    { length: 640, slices: 1 },
  ]);
  expect(planTop(10, 64)).toEqual([
    { length: 10, slices: 1 },
    { length: 10, slices: 1 },
  ]);
});
