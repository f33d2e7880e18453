// What transformers computed, on WebGPU: every causal golden and every family's fixture, in float32 and in float16.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { describeGpu, missingShared } from '@hip/testing';
import { requestHipDevice } from '@hip/kernels-webgpu';
import { normError, relativeError } from '../../helpers/compare.ts';
import {
  checkFixture,
  checkLogits,
  checkSteps,
  GOLDENS,
  hasSteps,
  type GoldenPath,
} from '../../helpers/golden-checks.ts';

const FIXTURES = join(import.meta.dirname, '../../../../checkpoints/test/fixtures/families');
const families = readdirSync(FIXTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

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
    describe.each(GOLDENS)('%s %s', (folder, file) => {
      it('float32', () => checkLogits(folder, file, float32()));
      it('float16', () => checkLogits(folder, file, float16()));
      it.each(hasSteps(folder) ? [['float32', float32] as const, ['float16', float16] as const] : [])(
        '%s, steps over the cache and greedy ids',
        (_, path) => checkSteps(folder, file, path()),
      );
    });
  });

  describe.each(families)('the fixture %s', (name) => {
    it('float32', () => checkFixture(join(FIXTURES, name), float32()));
    it('float16', () => checkFixture(join(FIXTURES, name), float16()));
  });
});
