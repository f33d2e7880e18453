// The picture of a mask: the share of the pairs that it says is the one that it draws, however its lines come.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MaskPicture } from '../../src/document/mask-picture.ts';
import { PIXEL } from '../../src/document/pixel.ts';

const COLOUR = [1, 2, 3] as const;

it('says the share that it draws', () => {
  const lines = fc.record({
    row: fc.integer({ min: 0, max: 8 }),
    rows: fc.array(fc.uint8Array({ maxLength: 12 }), { minLength: 1, maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(lines, { maxLength: 6 }), fc.integer({ min: 0, max: 8 }), (parts, filled) => {
      const picture = new MaskPicture('hip', 10 * PIXEL);
      expect(picture.share).toBe(1);
      for (const part of parts) picture.add(part, COLOUR);
      picture.fill(filled * PIXEL, COLOUR);
      let drawn: Uint8ClampedArray = new Uint8ClampedArray();
      picture.attach((pixels) => (drawn = pixels))();
      const last = Math.max(filled, ...parts.map(({ row, rows }) => Math.min(10, row + rows.length)), 0);
      let [read, pairs] = [0, 0];
      for (let row = 0; row < last; row++) {
        for (let column = 0; column <= row; column++) {
          read += drawn[4 * (row * 10 + column) + 3]! / 255;
          pairs++;
        }
      }
      expect(picture.share).toBeCloseTo(pairs === 0 ? 1 : read / pairs, 9);
    }),
  );
});
