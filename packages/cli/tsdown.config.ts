import { packageBuild } from '../../tsdown.base.ts';

export default packageBuild({ entry: { main: 'src/main.ts' } });
