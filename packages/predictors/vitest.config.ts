import { packageConfig } from '../../vitest.base.ts';

export default packageConfig({ testTimeout: 600_000 });
