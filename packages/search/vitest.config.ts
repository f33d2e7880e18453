// Processes and threads are started by the dozen: on a busy machine that takes minutes.
import { packageConfig } from '../../vitest.base.ts';

export default packageConfig({ testTimeout: 600_000 });
