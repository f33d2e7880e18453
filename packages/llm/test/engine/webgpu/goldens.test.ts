// What transformers computed, on WebGPU: every causal golden, and a fixture of each kind of family, in float32; some in float16.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeGpu, missingShared } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { normError, relativeError } from '../../helpers/compare.ts';
import { fixtureMisses, goldenMisses, GOLDENS, type GoldenPath } from '../../helpers/golden-checks.ts';

/** Milliseconds: shaders are compiled for a processor, of which others may want most. */
const SLOW = 600_000;
/** Goldens that are computed in float16, too, and fixtures: one of each kind of arithmetic. */
const HALF = ['mistral', 'gemma3-text', 'gpt2'];
const FAMILIES = ['gemma2', 'olmo2', 'granite', 'qwen3-odd'];

const FIXTURES = join(import.meta.dirname, '../../../../checkpoints/test/fixtures/families');

describeGpu('goldens', (gpu) => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await requestHipDevice(await gpu.adapter());
  });
  afterAll(() => device.destroy());
  const float32 = (): GoldenPath => ({
    options: { device, weights: 'f32', cache: 'f32' },
    tolerance: 2e-4,
    measure: relativeError,
  });
  const float16 = (): GoldenPath => ({ options: { device, weights: 'f16' }, tolerance: 2e-3, measure: normError });

  describe.skipIf(missingShared('goldens'))(`shared goldens${missingShared('goldens')}`, () => {
    it.each(GOLDENS)(
      '%s %s, float32',
      async (folder, file) => {
        expect(await goldenMisses(folder, file, float32())).toEqual([]);
      },
      SLOW,
    );
    it.each(GOLDENS.filter(([folder]) => HALF.includes(folder)))(
      '%s %s, float16',
      async (folder, file) => {
        expect(await goldenMisses(folder, file, float16())).toEqual([]);
      },
      SLOW,
    );
  });

  describe.each(FAMILIES)('the fixture %s', (name) => {
    it(
      'float32',
      async () => {
        expect(await fixtureMisses(join(FIXTURES, name), float32())).toEqual([]);
      },
      SLOW,
    );
  });
});
