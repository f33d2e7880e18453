// float16 on the host with the engine's Float16Array and without it: the same.
import { expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { readHalves, writeHalves } from '../src/dispatch/half.ts';

const roundTrip = (values: Float64Array) => {
  const bytes = new ArrayBuffer(Math.ceil(values.length / 2) * 4);
  writeHalves(bytes, values);
  return Array.from(readHalves(bytes));
};

it('uploads round and readbacks read as where the engine has float16', () => {
  const value = fc.oneof(fc.double(), fc.double({ min: -70_000, max: 70_000 }), fc.double({ min: 0, max: 2 ** -13 }));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 33 }), (list) => {
      const values = Float64Array.from(list);
      const native = roundTrip(values);
      vi.stubGlobal('Float16Array', undefined);
      try {
        expect(roundTrip(values)).toEqual(native);
      } finally {
        vi.unstubAllGlobals();
      }
    }),
  );
});
