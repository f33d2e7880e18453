// Context beyond the trained length: the stretched frequencies against the papers' formulas in float64, and transformers' own logits.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { missingShared, sharedPath } from '@hip/testing';
import { openCheckpoint } from '../../src/checkpoint.ts';
import { frequenciesFor, readRope } from '../../src/families/rope-config.ts';
import { fileSource } from '../../src/files/byte-source.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import { extendContext, type ContextExtension } from '../../src/model/context.ts';
import { weightSlots } from '../../src/model/slots.ts';
import { openSafetensors } from '../../src/safetensors/safetensors.ts';
import { readSlots } from '../../src/weights/read-slots.ts';
import { referenceLogits } from '../helpers/reference.ts';

const modelOf = (headSize: number, maxPositions: number, theta: number, raw: object = {}): ModelConfig =>
  ({
    family: 'llama',
    headSize,
    maxPositions,
    rope: readRope({ rope_theta: theta, ...raw }, headSize, maxPositions),
  }) as ModelConfig;

const models = fc.record({
  headSize: fc.constantFrom(32, 64, 96, 128),
  maxPositions: fc.constantFrom(512, 2048, 8192, 32_768),
  theta: fc.constantFrom(10_000, 100_000, 500_000, 1_000_000),
  factor: fc.double({ min: 1, max: 32, noNaN: true }),
});

const close = (found: readonly number[], wanted: readonly number[]): void => {
  expect(found).toHaveLength(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(found[i]! / value - 1)).toBeLessThan(3e-6);
};

const plain = (theta: number, d: number): number[] => Array.from({ length: d / 2 }, (_, i) => theta ** ((-2 * i) / d));

describe('a stretched rotation', () => {
  it('is YaRN: slow pairs interpolated, fast ones kept, a ramp between (arXiv 2309.00071 §3.2, §3.4)', () => {
    fc.assert(
      fc.property(models, ({ headSize: d, maxPositions, theta, factor }) => {
        const { rope, maxPositions: most } = extendContext(modelOf(d, maxPositions, theta), { type: 'yarn', factor });
        // The pair that makes so many turns over the trained length.
        const pairOf = (turns: number): number =>
          (d * Math.log(maxPositions / (2 * Math.PI * turns))) / (2 * Math.log(theta));
        const low = Math.max(0, Math.floor(pairOf(32)));
        const high = Math.min(d - 1, Math.ceil(pairOf(1)));
        const wanted = plain(theta, d).map((frequency, i) => {
          const kept = 1 - Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)));
          return kept * frequency + ((1 - kept) * frequency) / factor;
        });
        close(rope!.inverseFrequencies, wanted);
        expect(rope!.attentionFactor).toBeCloseTo(0.1 * Math.log(factor) + 1, 12);
        expect(most).toBe(Math.floor(maxPositions * factor));
      }),
      { numRuns: 60 },
    );
  });

  it('is dynamic NTK: nothing up to the trained length, then θ grows with the text', () => {
    fc.assert(
      fc.property(models, fc.double({ min: 1, max: 16, noNaN: true }), (model, times) => {
        const { headSize: d, maxPositions, theta, factor } = model;
        const { rope, maxPositions: most } = extendContext(modelOf(d, maxPositions, theta), {
          type: 'dynamic',
          factor,
        });
        close(frequenciesFor(rope!, maxPositions), plain(theta, d));
        const tokens = Math.max(maxPositions + 1, Math.floor(times * maxPositions));
        const grown = theta * ((factor * tokens) / maxPositions - (factor - 1)) ** (d / (d - 2));
        close(frequenciesFor(rope!, tokens), plain(grown, d));
        expect(most).toBe(maxPositions);
      }),
      { numRuns: 60 },
    );
  });

  it('is linear: all positions denser', () => {
    const { rope } = extendContext(modelOf(64, 2048, 10_000), { type: 'linear', factor: 4 });
    expect(rope).toBeDefined();
    close(
      rope!.inverseFrequencies,
      plain(10_000, 64).map((frequency) => frequency / 4),
    );
  });

  it('leaves what does not rotate, and the rest of the configuration', () => {
    const partial = modelOf(96, 2048, 10_000, { partial_rotary_factor: 0.75 });
    const local = { ...partial.rope!, theta: 1 };
    const found = extendContext({ ...partial, ropeLocal: local }, { type: 'yarn', factor: 2 });
    expect(found.rope!.inverseFrequencies).toHaveLength(36);
    expect(found.ropeLocal).toBe(local);
    expect(found).toMatchObject({ family: 'llama', headSize: 96, maxPositions: 4096 });
  });

  it.each<[unknown, string, string]>([
    [7, 'invalid-option', 'context is 7'],
    [{ type: 'ntk', factor: 2 }, 'invalid-option', 'context.type is ntk: give one of yarn, dynamic, linear'],
    [{ type: 'yarn', factor: 0.5 }, 'invalid-option', 'context.factor is 0.5: give a number >= 1'],
    [{ type: 'yarn' }, 'invalid-option', 'context.factor is undefined'],
    [{ type: 'linear', factor: 2, betaFast: 3 }, 'invalid-option', 'context.betaFast is 3: give it to yarn'],
    [{ type: 'yarn', factor: 2, attentionFactor: 0 }, 'invalid-option', 'context.attentionFactor is 0'],
    [{ type: 'yarn', factor: 2, betaFast: 1 }, 'invalid-option', 'context.betaFast is 1: give more than betaSlow'],
  ])('refuses %j', (extension, code, message) => {
    expect(() => extendContext(modelOf(64, 2048, 10_000), extension as ContextExtension)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }),
    );
  });

  it('refuses models without rotation, and those that are stretched already', () => {
    const yarn = { type: 'yarn', factor: 2 } as const;
    const unsupported = expect.objectContaining({ code: 'unsupported-model' }) as Error;
    const { rope: _, ...learned } = modelOf(64, 1024, 10_000);
    expect(() => extendContext(learned, yarn)).toThrow(unsupported);
    for (const type of ['yarn', 'dynamic', 'linear'])
      expect(() =>
        extendContext(modelOf(64, 1024, 10_000, { rope_scaling: { rope_type: type, factor: 2 } }), yarn),
      ).toThrow(unsupported);
    expect(() => extendContext(extendContext(modelOf(64, 1024, 10_000), yarn), yarn)).toThrow(unsupported);
  });
});

const folder = sharedPath('goldens', 'qwen3-yarn');

it.skipIf(!folder)(`gives transformers’ logits of a YaRN model${missingShared('goldens')}`, async () => {
  const plainRope = { rope_parameters: { rope_type: 'default', rope_theta: 10_000 }, max_position_embeddings: 64 };
  await using checkpoint = await openCheckpoint(folder!, {
    config: plainRope,
    context: { type: 'yarn', factor: 4 },
  });
  await using stored = await openCheckpoint(folder!);
  expect(checkpoint.config.rope).toEqual(stored.config.rope);
  expect(checkpoint.config.maxPositions).toBe(256);
  const golden = await openSafetensors(await fileSource(`${folder!}/golden.safetensors`));
  const ids = (await golden.read('in.input_ids')).data;
  const expected = (await golden.read('out.logits')).data as Float32Array;
  await golden.close();
  const weights = await readSlots(checkpoint, weightSlots(checkpoint.config));
  const logits = referenceLogits(checkpoint.config, weights, ids.slice(0, 24)).flat();
  const worst = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  expect(worst).toBeLessThan(1e-4);
});
