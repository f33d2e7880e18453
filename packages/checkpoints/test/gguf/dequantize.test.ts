// Block types against the values that the definition in numpy (Python package gguf) gives, bit for bit: test/fixtures/ggml-blocks.py.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fileSource } from '../../src/files/byte-source.ts';
import { dequantize } from '../../src/gguf/dequantize.ts';
import { GGUF_TYPES } from '../../src/gguf/types.ts';
import type { GgufDtype } from '../../src/gguf/types.ts';
import { openSafetensors } from '../../src/safetensors/safetensors.ts';

const TYPES = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K', 'F16', 'BF16'] as const;
const blocks = await openSafetensors(
  await fileSource(join(import.meta.dirname, '../fixtures/ggml-blocks.safetensors')),
);

it.each(TYPES)('%s', async (dtype) => {
  const { bytes } = await blocks.readRaw(`${dtype}.blocks`);
  const expected = (await blocks.read(`${dtype}.values`)).data;
  const values = dequantize(bytes, dtype);
  expect(values.length).toBe(expected.length);
  // NaNs are equal whatever their payload; −0 is not 0.
  expect(values.findIndex((value, i) => !Object.is(value, expected[i]))).toBe(-1);
  expect(values.filter((value) => Number.isNaN(value)).length).toBeGreaterThan(0);
});

it('knows every type’s blocks, and refuses pieces of one', () => {
  const types = Object.entries(GGUF_TYPES) as [GgufDtype, (typeof GGUF_TYPES)[GgufDtype]][];
  for (const [dtype, { blockSize, blockBytes }] of types) {
    expect(dequantize(new Uint8Array(3 * blockBytes), dtype).length, dtype).toBe(3 * blockSize);
  }
  for (const [dtype, { blockBytes }] of types.filter(([, type]) => type.blockBytes > 1)) {
    expect(() => dequantize(new Uint8Array(3 * blockBytes - 1), dtype)).toThrow(
      expect.objectContaining({ code: 'invalid-gguf' }),
    );
  }
});
