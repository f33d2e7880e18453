import { packageConfig } from '../../vitest.base.ts';

// Real weights on a busy machine.
export default packageConfig({ testTimeout: 600_000 });
