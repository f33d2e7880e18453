// What transformers computed: all positions, steps over the cache and greedy ids of every causal golden, in float32 and in float16; the
// families' fixtures of @hip/checkpoints (Gemma 2, Granite, OLMo 2, biases, partial rotation, odd sizes), which are transformers' too.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingShared } from '@hip/testing';
import { normError, relativeError } from '../helpers/compare.ts';
import {
  fixtureMisses,
  logitMisses,
  stepMisses,
  GOLDENS,
  hasSteps,
  type GoldenPath,
} from '../helpers/golden-checks.ts';

// What float16 weights alone cost in float64 is 2.4e-3 of the largest logit of phi3, 1.2e-3 of all logits' norm.
const PATHS: readonly (readonly [string, GoldenPath])[] = [
  ['float32', { options: { weights: 'f32', cache: 'f32' }, tolerance: 2e-4, measure: relativeError }],
  ['as stored, cache in float16', { options: {}, tolerance: 2e-3, measure: relativeError }],
  ['float16', { options: { weights: 'f16' }, tolerance: 2e-3, measure: normError }],
];

const FIXTURES = join(import.meta.dirname, '../../../checkpoints/test/fixtures/families');
const families = readdirSync(FIXTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

describe.skipIf(missingShared('goldens'))(`shared goldens${missingShared('goldens')}`, () => {
  describe.each(GOLDENS)('%s %s', (folder, file) => {
    it.each(PATHS)('%s', async (_, path) => {
      expect(await logitMisses(folder, file, path)).toEqual([]);
    });
    it.each(hasSteps(folder) ? PATHS : [])('%s, steps over the cache and greedy ids', async (_, path) => {
      expect(await stepMisses(folder, file, path)).toEqual([]);
    });
  });
});

describe.each(families)('the fixture %s', (name) => {
  it.each(PATHS)('%s', async (_, path) => {
    expect(await fixtureMisses(join(FIXTURES, name), path)).toEqual([]);
  });
});
