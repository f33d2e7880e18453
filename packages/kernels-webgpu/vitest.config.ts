import { packageConfig } from '../../vitest.base.ts';

// A software GPU compiles a kernel for seconds, on all cores.
export default packageConfig({ testTimeout: 300_000, fileParallelism: false });
