// float16 with the engine's Float16Array and without it: the same to the bit.
import { afterEach, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { floatsToHalves, halfReader, halvesToFloats } from '../src/half.ts';

afterEach(() => vi.unstubAllGlobals());
const withoutNative = <T>(run: () => T): T => {
  vi.stubGlobal('Float16Array', undefined);
  try {
    return run();
  } finally {
    vi.unstubAllGlobals();
  }
};
/** NaNs may differ in their payload. */
const numbers = (bytes: Uint8Array<ArrayBuffer>) => Array.from(new Float16Array(bytes.slice().buffer));

it('every float16 is read as the engine reads it, from any byte', () => {
  const all = new Uint8Array(new Uint16Array(65_536).map((_, i) => i).buffer);
  const native = halvesToFloats(all.buffer, 0, 65_536);
  expect(withoutNative(() => halvesToFloats(all.buffer, 0, 65_536))).toEqual(native);
  const shifted = new Uint8Array([0, ...all]).subarray(1);
  for (const read of [halfReader(shifted), withoutNative(() => halfReader(shifted))]) {
    expect(Float32Array.from({ length: 65_536 }, (_, i) => read(2 * i))).toEqual(native);
  }
});

it('numbers are rounded as the engine rounds them, also between two float16 and beyond the largest', () => {
  const values = fc.oneof(
    fc.double(),
    fc.float(),
    fc.double({ min: -70_000, max: 70_000 }),
    fc.double({ min: 0, max: 2 ** -13 }),
  );
  const halfway = fc.integer({ min: 0, max: 0x7bff }).map((bits) => {
    const [low, high] = new Float16Array(Uint16Array.of(bits, bits + 1).buffer);
    return high === Infinity ? 65_520 : ((low as number) + (high as number)) / 2;
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(values, halfway), { maxLength: 40 }), (list) => {
      expect(numbers(withoutNative(() => floatsToHalves(list)))).toEqual(numbers(floatsToHalves(list)));
    }),
  );
});
