import { packageConfig } from '../../vitest.base.ts';

// A software GPU compiles a kernel for seconds.
export default packageConfig({ testTimeout: 300_000 });
