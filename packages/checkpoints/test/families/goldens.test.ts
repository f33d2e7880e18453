// What a configuration says is what transformers computes: a plain float64 decoder built on ModelConfig against tiny random models of every
// causal family (test/fixtures/families/make.py and the shared goldens), every position's logits; raw slots, GGUF and both config dialects.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { openCheckpoint } from '../../src/checkpoint.ts';
import type { OpenCheckpoint } from '../../src/checkpoint.ts';
import { fileSource } from '../../src/files/byte-source.ts';
import { weightSlots } from '../../src/model/slots.ts';
import { openSafetensors } from '../../src/safetensors/safetensors.ts';
import { decodeTensor } from '../../src/safetensors/dtypes.ts';
import type { SafetensorsDtype } from '../../src/safetensors/dtypes.ts';
import { rawSlotInfo, readRawPieces, readRawSlot } from '../../src/weights/raw-slots.ts';
import { readSlots } from '../../src/weights/read-slots.ts';
import { referenceLogits } from '../helpers/reference.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/families');
const own = readdirSync(FIXTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);
const SHARED = [
  'llama-gqa',
  'llama3-rope',
  'qwen2',
  'mistral',
  'gemma3-text',
  'phi3',
  'phi3-longrope',
  'smollm3',
  'qwen3-yarn',
  'gpt2',
];

/** Largest difference, relative to the largest logit. */
async function difference(checkpoint: OpenCheckpoint, golden: string, ids: string, logits: string): Promise<number> {
  const file = await openSafetensors(await fileSource(golden));
  const tokens = (await file.read(ids)).data;
  const expected = (await file.read(logits)).data as Float32Array;
  await file.close();
  const weights = await readSlots(checkpoint, weightSlots(checkpoint.config));
  // A batch's first sequence.
  const length = Math.min(tokens.length, expected.length / checkpoint.config.vocabSize);
  const rows = Math.min(length, 40);
  const values = referenceLogits(checkpoint.config, weights, tokens.slice(0, rows)).flat();
  const compared = expected.subarray(0, values.length);
  const scale = compared.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - compared[i]!)), 0) / scale;
}

describe.each(own)('%s', (name) => {
  const folder = join(FIXTURES, name);
  const golden = `${folder}/golden.safetensors`;

  it('is computed as transformers does', async () => {
    await using checkpoint = await openCheckpoint(folder);
    expect(await difference(checkpoint, golden, 'ids', 'logits')).toBeLessThan(2e-6);
  });

  it('is the same in the configuration that transformers 4 writes', async () => {
    await using checkpoint = await openCheckpoint(folder);
    await using old = await openCheckpoint(folder, { config: dialect4(checkpoint.config.raw) });
    expect({ ...old.config, raw: {} }).toEqual({ ...checkpoint.config, raw: {} });
  });

  it('gives its weights as they are stored, too', async () => {
    await using checkpoint = await openCheckpoint(folder);
    const slots = weightSlots(checkpoint.config);
    const values = await readSlots(checkpoint, slots);
    const into = new Uint8Array(700);
    let filled = 0;
    for (const slot of slots) {
      const { dtype, shape, bytes, byteLength } = await readRawSlot(checkpoint, slot);
      expect(await rawSlotInfo(checkpoint, slot)).toEqual({ slot, dtype, shape, byteLength });
      const pieces: Uint8Array[] = [];
      for await (const piece of readRawPieces(checkpoint, slot, { bytes: 700 })) {
        expect([piece.firstRow, piece.dtype]).toEqual([rowsOf(pieces, byteLength, shape), dtype]);
        pieces.push(piece.bytes);
      }
      expect(Buffer.concat(pieces).equals(bytes), slot.name).toBe(true);
      const again: Uint8Array[] = [];
      for await (const piece of readRawPieces(checkpoint, slot, { bytes: 700, into })) {
        if (piece.bytes.buffer === into.buffer) filled++;
        again.push(piece.bytes.slice());
      }
      expect(Buffer.concat(again).equals(bytes), slot.name).toBe(true);
      const raw = decodeTensor(bytes, dtype as SafetensorsDtype, slot.name);
      const [columns = 1, rows = 1] = shape.toReversed();
      const turnedOver = shape.length === 2 && slot.role !== 'embedding';
      const expected = turnedOver ? raw.map((_, at) => raw[(at % rows) * columns + Math.floor(at / rows)]!) : raw;
      expect(values.get(slot.name), slot.name).toEqual(expected);
    }
    // GPT-2's, which are turned over, are read whole.
    expect(filled).toBeGreaterThanOrEqual(name.startsWith('gpt2') ? 0 : 9);
  });
});

describe.skipIf(missingShared('goldens'))(`shared goldens${missingShared('goldens')}`, () => {
  it.each(SHARED)('%s', async (name) => {
    const folder = sharedPath('goldens', name)!;
    await using checkpoint = await openCheckpoint(folder);
    expect(await difference(checkpoint, `${folder}/golden.safetensors`, 'in.input_ids', 'out.logits')).toBeLessThan(
      2e-5,
    );
  });

  it('phi3-longrope beyond its original context', async () => {
    const folder = sharedPath('goldens', 'phi3-longrope')!;
    await using checkpoint = await openCheckpoint(folder);
    const golden = await openSafetensors(await fileSource(`${folder}/golden-long.safetensors`));
    const ids = (await golden.read('in.input_ids')).data;
    const expected = (await golden.read('out.logits')).data;
    const weights = await readSlots(checkpoint, weightSlots(checkpoint.config));
    expect(ids.length).toBe(60);
    expect(new Float32Array(referenceLogits(checkpoint.config, weights, ids).flat())).toBeAllclose(expected, {
      atol: 1e-4,
      rtol: 0,
    });
  });
});

/** rope_parameters as 4.x wrote them: rope_theta, rope_scaling, partial_rotary_factor, rope_local_base_freq. */
function dialect4(raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const nested = raw['rope_parameters'] as Record<string, Record<string, unknown>>;
  const full = (nested['full_attention'] ?? nested) as Record<string, unknown>;
  const { rope_theta, partial_rotary_factor, ...scaling } = full;
  return {
    rope_parameters: undefined,
    rope_theta,
    rope_scaling: scaling['rope_type'] === 'default' ? null : scaling,
    ...(partial_rotary_factor !== undefined && { partial_rotary_factor }),
    ...(nested['sliding_attention'] && { rope_local_base_freq: nested['sliding_attention']['rope_theta'] }),
  };
}

/** Rows of a tensor that pieces hold together. */
function rowsOf(pieces: readonly Uint8Array[], byteLength: number, [rows = 1]: readonly number[]): number {
  return pieces.reduce((sum, { byteLength: own }) => sum + own, 0) / (byteLength / rows);
}
