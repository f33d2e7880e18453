// Pictures of masks: the grid of shares, the SVG, and a PNG that another library reads.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { convertIndexedToRgb, decode } from 'fast-png';
import {
  denseMask,
  emptyMask,
  maskDensity,
  maskToPng,
  maskToSvg,
  searchBlockMask,
  setBlocks,
  toDense,
} from '../../src/index.ts';
import { searches, seeds, shapes, tensorsOf } from '../support.ts';

const shape = { batch: 1, queries: 256, keys: 256, heads: 1, kvHeads: 1, headDim: 1 };

describe('maskDensity', () => {
  it('at full resolution is the written-out mask’s last row of each query block', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, (given, options, seed) => {
        const { q, k } = tensorsOf(given, seed);
        const mask = searchBlockMask(q, k, given, options);
        const dense = toDense(mask);
        const density = maskDensity(mask, { resolution: 1000 });
        density.forEach((line, n) => {
          const row = Math.min((n + 1) * mask.blockQ, given.queries) - 1;
          expect([...line]).toEqual([...dense.subarray(row * given.keys, (row + 1) * given.keys)]);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('stays within [0, 1] at any resolution', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), (resolution) => {
        const mask = {
          ...denseMask(shape, true),
          blockQ: 4,
          queryBlocks: 64,
          starts: new Int32Array(64).fill(-1),
          counts: new Int32Array(64),
        };
        const shares = maskDensity(mask, { resolution }).flatMap((line) => [...line]);
        expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses grids of nothing', () => {
    for (const options of [{ resolution: 0 }, { width: 0.5 }]) {
      expect(() => maskDensity(denseMask(shape, true), options)).toThrow(
        expect.objectContaining({ code: 'invalid-config' }),
      );
    }
  });
});

function stripes(): ReturnType<typeof emptyMask> {
  const mask = emptyMask(shape, { blockQ: 64, blockK: 64, sink: 0, window: 0, causal: true, shareHeads: true }, 1);
  for (const n of [1, 2, 3]) setBlocks(mask, 0, 0, n, [64 * (n - 1)]);
  return mask;
}

describe('maskToSvg', () => {
  it('draws one rectangle a run of equal shade', () => {
    const svg = maskToSvg(stripes(), { resolution: 4, width: 400 });
    expect(svg.match(/<rect x="\d" y="\d" width="1" height="1" opacity="1"\/>/g)).toEqual(
      [1, 2, 3].map((y) => `<rect x="${y - 1}" y="${y}" width="1" height="1" opacity="1"/>`),
    );
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="400" height="400" viewBox="0 0 4 4".*<\/svg>$/,
    );
  });
});

describe('maskToPng', () => {
  it('is an image that another decoder reads, with checksums, and the cells where they belong', async () => {
    const image = decode(await maskToPng(stripes(), { resolution: 4, width: 8 }), { checkCrc: true });
    expect([image.width, image.height, image.channels, image.depth]).toEqual([8, 8, 1, 8]);
    const at = (x: number, y: number): number => image.data[y * 8 + x]!;
    for (let y = 0; y < 8; y++)
      for (let x = 0; x < 8; x++) expect(at(x, y)).toBe(y >= 2 && x >> 1 === (y >> 1) - 1 ? 255 : 0);
    const rgb = convertIndexedToRgb(image);
    expect(Array.from(rgb.slice(0, 3))).toEqual([0xf5, 0xf7, 0xfa]);
    expect(Array.from(rgb.slice(2 * 8 * 3, 2 * 8 * 3 + 3))).toEqual([0x0b, 0x3c, 0x5d]);
  });

  it('agrees with maskDensity everywhere', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, searches, seeds, async (given, options, seed) => {
        const { q, k } = tensorsOf(given, seed);
        const mask = searchBlockMask(q, k, given, options);
        const density = maskDensity(mask, { resolution: 16 });
        const columns = density[0]!.length;
        const image = decode(await maskToPng(mask, { resolution: 16, width: columns }), { checkCrc: true });
        expect([...image.data]).toEqual(density.flatMap((line) => [...line].map((share) => Math.round(share * 255))));
      }),
      { numRuns: 20 },
    );
  });
});
