// Checksums: every change of a byte, of order or of cuts is another one.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Checksum } from '../../src/saved/checksum.ts';

it('differs wherever bytes do, and is a function of them', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, where, change) => {
      const changed = given.slice();
      changed[where % given.length]! ^= change;
      const sum = new Checksum().add(given);
      expect(new Checksum().add(changed).hex).not.toBe(sum.hex);
      expect(new Checksum().add(changed).word).not.toBe(sum.word);
      // Wherever it lies in memory.
      const shifted = new Uint8Array(given.length + 1);
      shifted.set(given, 1);
      expect(new Checksum().add(shifted.subarray(1)).hex).toBe(sum.hex);
      expect(new Checksum().add(given.slice(0, -1)).hex).not.toBe(sum.hex);
      expect(new Checksum().add(given).add(given).hex).not.toBe(sum.hex);
      expect(sum.hex).toMatch(/^[0-9a-f]{64}$/);
    }),
    { seed: 1 },
  );
  expect(new Checksum().text('a').text('bc').hex).not.toBe(new Checksum().text('ab').text('c').hex);
});
