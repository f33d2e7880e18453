import { packageConfig } from '../../vitest.base.ts';

// Whole runs in child processes, a browser, a software GPU: minutes where the cores are shared.
export default packageConfig({ testTimeout: 600_000 });
