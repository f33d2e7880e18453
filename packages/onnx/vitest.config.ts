import { packageConfig } from '../../vitest.base.ts';

export default packageConfig();
