import { join } from 'node:path';
import { mergeConfig } from 'vitest/config';
import { packageConfig } from '../../vitest.base.ts';

// A browser with a model in it: minutes where the cores are shared.
export default mergeConfig(packageConfig({ testTimeout: 600_000, fileParallelism: false }), {
  test: { globalSetup: [join(import.meta.dirname, 'test/site-folder.ts')] },
});
