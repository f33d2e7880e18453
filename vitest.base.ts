// Shared vitest settings: every package's tests write test-results.json, which scripts/test.mjs adds up.
import { defineConfig } from 'vitest/config';

export function packageConfig(overrides: { testTimeout?: number; fileParallelism?: boolean } = {}) {
  return defineConfig({
    test: {
      include: ['test/**/*.test.ts'],
      testTimeout: overrides.testTimeout ?? 60_000,
      hookTimeout: 120_000,
      fileParallelism: overrides.fileParallelism ?? true,
      maxWorkers: 2,
      reporters: ['default', 'json'],
      outputFile: { json: 'test-results.json' },
    },
  });
}
