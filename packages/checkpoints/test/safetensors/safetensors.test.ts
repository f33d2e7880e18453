// safetensors: round trips of every float type, and a typed error for every kind of damage (fuzzed).
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFloats } from '../../src/safetensors/dtypes.ts';
import { memorySource } from '../../src/files/byte-source.ts';
import { openSafetensors, writeSafetensors } from '../../src/safetensors/safetensors.ts';
import { CheckpointError } from '../../src/errors.ts';

/** A file with a header of our own making. */
function fileOf(header: unknown, data = new Uint8Array(0), headerText = JSON.stringify(header)): Uint8Array {
  const text = new TextEncoder().encode(headerText);
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}

async function errorOf(bytes: Uint8Array): Promise<unknown> {
  try {
    const file = await openSafetensors(bytes);
    for (const name of file.tensors.keys()) await file.read(name);
  } catch (error) {
    return error;
  }
  return undefined;
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

const tensorArbitrary = fc.record({
  name: fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }).filter((name) => name !== '__metadata__'),
  shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
  dtype: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const),
});

describe('safetensors', () => {
  it('round-trips names, shapes and values', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tensorArbitrary, { selector: ({ name }) => name, maxLength: 5 }),
        fc.dictionary(fc.string(), fc.string()),
        async (specs, metadata) => {
          const tensors = specs.map(({ name, shape, dtype }) => {
            const size = shape.reduce((count, extent) => count * extent, 1);
            // Values that bf16 holds exactly.
            return {
              name,
              shape,
              dtype,
              data: Float32Array.from({ length: size }, (_, i) => (i % 2 ? -1 : 1) * (i % 64)),
            };
          });
          const { ['__proto__']: _proto, ...safe } = metadata;
          const file = await openSafetensors(writeSafetensors(tensors, safe));
          expect(file.metadata).toEqual({ ...safe });
          expect([...file.tensors.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
          for (const { name, shape, data } of tensors) {
            const loaded = await file.read(name);
            expect(loaded.shape).toEqual(shape);
            expect(loaded.data).toEqual(data);
          }
        },
      ),
    );
  });

  it('rounds bf16 to nearest even and keeps non-finite values', async () => {
    const values = new Float32Array([1, 1.00390625, 1.01171875, -0, Infinity, -Infinity, NaN, 3.3895e38]);
    const file = await openSafetensors(writeSafetensors([{ name: 'x', shape: [8], data: values, dtype: 'BF16' }]));
    const { data } = await file.read('x');
    // 1 + 2⁻⁸ and 1 + 3·2⁻⁸ are ties: to even mantissas 1 and 1 + 2⁻⁶.
    expect([...data]).toEqual([1, 1, 1.015625, -0, Infinity, -Infinity, NaN, Math.fround(3.3895313892515355e38)]);
  });

  it('rounds f16 as IEEE does', async () => {
    expect([...new Float16Array(encodeFloats(new Float32Array([65504, 65520, 2 ** -24, 0.1]), 'F16').buffer)]).toEqual([
      65504,
      Infinity,
      2 ** -24,
      Math.f16round(0.1),
    ]);
  });

  it.each<[string, Uint8Array]>([
    ['truncated', new Uint8Array(3)],
    ['truncated', fileOf({ x: f32(0, 8) }, new Uint8Array(4))],
    ['truncated', new Uint8Array([200, 0, 0, 0, 0, 0, 0, 0, 123, 125])],
    ['header-too-large', new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1, 0])],
    [
      'header-not-utf8',
      (() => {
        const bytes = fileOf({ é: f32(0, 0) });
        bytes[11] = 0xff;
        return bytes;
      })(),
    ],
    ['header-not-json', fileOf({}, undefined, '{"x":')],
    ['header-not-object', fileOf([])],
    ['header-not-object', fileOf({}, undefined, ' {}')],
    [
      'duplicate-name',
      fileOf({}, new Uint8Array(8), `{"x":${JSON.stringify(f32(0, 4))},"x":${JSON.stringify(f32(4, 8))}}`),
    ],
    ['invalid-metadata', fileOf({ __metadata__: { a: 1 } })],
    ['invalid-entry', fileOf({ x: 1 })],
    ['unknown-dtype', fileOf({ x: { dtype: 'F31', shape: [], data_offsets: [0, 0] } })],
    ['unknown-dtype', fileOf({ x: { dtype: 'constructor', shape: [], data_offsets: [0, 0] } })],
    ['invalid-shape', fileOf({ x: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } })],
    ['invalid-shape', fileOf({ x: { dtype: 'F32', shape: [1.5], data_offsets: [0, 6] } })],
    ['invalid-offsets', fileOf({ x: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } })],
    ['invalid-offsets', fileOf({ x: { dtype: 'F32', shape: [1], data_offsets: [0] } })],
    ['size-mismatch', fileOf({ x: f32(0, 8, [3]) }, new Uint8Array(8))],
    [
      'size-mismatch',
      fileOf({ x: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 8] } }, new Uint8Array(8)),
    ],
    ['overlap-or-gap', fileOf({ x: f32(0, 8), y: f32(4, 12) }, new Uint8Array(12))],
    ['overlap-or-gap', fileOf({ x: f32(0, 4), y: f32(8, 12) }, new Uint8Array(12))],
    ['trailing-bytes', fileOf({ x: f32(0, 4) }, new Uint8Array(9))],
  ])('names the damage: %s (%#)', async (damage, bytes) => {
    const error = await errorOf(bytes);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject({ code: 'invalid-safetensors', details: { damage } });
  });

  it('never fails with anything but a typed error, whatever bytes are flipped, cut or added', async () => {
    const whole = writeSafetensors([
      { name: 'a.weight', shape: [2, 3], data: new Float32Array(6) },
      { name: 'b', shape: [4], data: new Float32Array(4), dtype: 'F16' },
    ]);
    const change = fc.record({ at: fc.nat({ max: whole.length - 1 }), value: fc.nat({ max: 255 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 4 }),
        fc.nat({ max: whole.length + 8 }),
        async (changes, length) => {
          const bytes = new Uint8Array(length);
          bytes.set(whole.subarray(0, length));
          for (const { at, value } of changes) if (at < length) bytes[at] = value;
          const error = await errorOf(bytes);
          expect(error === undefined || error instanceof CheckpointError, `${String(error)}`).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('reports a source that ends while a tensor is read', async () => {
    const bytes = writeSafetensors([{ name: 'x', shape: [4], data: new Float32Array(4) }]);
    const source = memorySource(bytes);
    const file = await openSafetensors({
      ...source,
      read: (offset, length) => memorySource(bytes.subarray(0, bytes.length - 4)).read(offset, length),
    });
    await expect(file.read('x')).rejects.toMatchObject({
      code: 'invalid-safetensors',
      details: { damage: 'truncated' },
    });
    await expect(file.read('y')).rejects.toMatchObject({ code: 'missing-weight' });
  });

  it('keeps what float16 holds, and names what would become infinite', async () => {
    const values = Float32Array.of(65519, -65519, Infinity, -Infinity, NaN, 2 ** -30);
    const write = (data: Float32Array, dtype: 'F16' | 'BF16' | 'F32') =>
      writeSafetensors([{ name: 'deep.weight', shape: [data.length], data, dtype }]);
    const file = await openSafetensors(write(values, 'F16'));
    expect([...(await file.read('deep.weight')).data]).toEqual([65504, -65504, Infinity, -Infinity, NaN, 0]);
    for (const largest of [65520, 1e6, Math.fround(3e38)]) {
      const data = Float32Array.of(1, -largest, Infinity, 65504);
      expect(() => write(data, 'F16')).toThrow(
        expect.objectContaining({
          code: 'unsupported-dtype',
          message: expect.stringContaining(`deep.weight reaches ${largest}`),
          details: { name: 'deep.weight', dtype: 'F16', largest },
        }),
      );
      const wide = await openSafetensors(write(data, 'BF16'));
      expect((await wide.read('deep.weight')).data[1]! / -largest).toBeCloseTo(1, 2);
    }
  });

  it('refuses to write what it could not read', () => {
    const x = { name: 'x', shape: [2], data: new Float32Array(2) };
    for (const dtype of ['F64', 'I64', 'f32', 'toString']) {
      expect(() => writeSafetensors([{ ...x, dtype: dtype as 'F32' }])).toThrow(
        expect.objectContaining({ code: 'unsupported-dtype', details: { name: 'x', dtype } }),
      );
    }
    expect(() => writeSafetensors([x, x])).toThrow(CheckpointError);
    expect(() => writeSafetensors([{ ...x, shape: [3] }])).toThrow(CheckpointError);
  });
});
