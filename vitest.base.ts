// Shared vitest settings: every package's tests write test-results.json, which scripts/test.mjs adds up.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// FC_SEED is the user's and part of turbo's cache key; HIP_FC_SEED is drawn by `npm test` and is not, so that a second run is cached.
const seed = process.env['FC_SEED'] ?? process.env['HIP_FC_SEED'] ?? String(randomInt(2 ** 31));
process.env['FC_SEED'] = seed;
const setup = (file: string) => join(import.meta.dirname, 'packages/testing/src/vitest', file);

export function packageConfig(overrides: { testTimeout?: number; fileParallelism?: boolean } = {}) {
  return defineConfig({
    test: {
      include: ['test/**/*.test.ts'],
      // For tests that hang, not for slow machines: no test asserts a time.
      testTimeout: overrides.testTimeout ?? 600_000,
      hookTimeout: 600_000,
      fileParallelism: overrides.fileParallelism ?? true,
      maxWorkers: 2,
      env: { FC_SEED: seed },
      globalSetup: [setup('print-seed.ts')],
      setupFiles: [setup('fast-check-seed.ts')],
      reporters: ['default', 'json'],
      outputFile: { json: 'test-results.json' },
    },
  });
}
