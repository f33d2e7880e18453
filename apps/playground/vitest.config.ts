import { packageConfig } from '../../vitest.base.ts';

// A browser with a model in it: minutes where the cores are shared.
export default packageConfig({ testTimeout: 600_000, fileParallelism: false });
