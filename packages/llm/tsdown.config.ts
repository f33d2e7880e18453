import { packageBuild } from '../../tsdown.base.ts';

export default packageBuild({ entry: { cli: 'src/cli/main.ts' } });
