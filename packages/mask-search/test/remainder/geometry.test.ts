// Where the remainder's blocks lie, for every length.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { remainderBlock, remainderGeometry } from '../../src/index.ts';

const places = fc.record({
  windowStart: fc.integer({ min: 0, max: 1 << 20 }),
  sink: fc.integer({ min: 0, max: 300 }),
  block: fc.integer({ min: 1, max: 300 }),
  most: fc.integer({ min: 1, max: 64 }),
});

it('covers [sink, end) with blocks that follow one another; fewer than a base block is left before the window', () => {
  fc.assert(
    fc.property(places, ({ windowStart, sink, block, most }) => {
      const geometry = remainderGeometry(windowStart, sink, { block, most });
      const { whole, tail, size, end } = geometry;
      let [at, before] = [sink, Infinity];
      for (let i = 0; i < whole + tail; i++) {
        const one = remainderBlock(geometry, i);
        expect(one.start).toBe(at);
        expect(i < whole ? one.size === size : one.size < before).toBe(true);
        expect((one.start - sink) % one.size).toBe(0);
        expect(Number.isInteger(Math.log2(one.size / block))).toBe(true);
        before = one.size;
        at += one.size;
      }
      expect(at).toBe(end);
      expect(end).toBe(sink + block * Math.max(0, Math.floor((windowStart - sink) / block)));
    }),
  );
});

it('joins base blocks by doubling, no more than it must, until no more than `most` are whole', () => {
  fc.assert(
    fc.property(places, ({ windowStart, sink, block, most }) => {
      const { whole, tail, size } = remainderGeometry(windowStart, sink, { block, most });
      expect(Number.isInteger(Math.log2(size / block))).toBe(true);
      expect(whole).toBeLessThanOrEqual(most);
      expect(tail).toBeLessThanOrEqual(Math.log2(size / block));
      // The size before would have been too small.
      expect(size === block || Math.floor((windowStart - sink) / (size / 2)) > most).toBe(true);
    }),
  );
});
