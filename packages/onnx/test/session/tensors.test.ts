// Masks as bits, whatever type of number they are.
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { tokenBits } from '../../src/session/tensors.ts';

it('are 1 where a mask is not 0, in every type that masks have', () => {
  const values = fc.array(fc.constantFrom(0, 1, 1, 2, -1, 2 ** 32, -(2 ** 40)), { minLength: 1 });
  fc.assert(
    fc.property(values, fc.nat(3), (numbers, offset) => {
      const bits = numbers.map((value) => (value === 0 ? 0 : 1));
      const { length } = numbers;
      const all = new BigInt64Array(length + offset);
      all.set(numbers.map(BigInt), offset);
      const tensors = [
        new ort.Tensor('int64', all.subarray(offset), [length]),
        new ort.Tensor('int32', Int32Array.from(bits), [length]),
        new ort.Tensor('float32', Float32Array.from(numbers), [length]),
        new ort.Tensor('bool', Uint8Array.from(bits), [length]),
      ];
      for (const tensor of tensors) expect([...tokenBits(tensor)]).toEqual(bits);
    }),
  );
});
