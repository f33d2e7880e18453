import { packageBuild } from '../../tsdown.base.ts';

export default packageBuild({
  entry: {
    cli: 'src/cli/main.ts',
    'worker-thread': 'src/evaluate/worker-thread.ts',
    'child-process': 'src/evaluate/child-process.ts',
  },
  platform: 'node',
});
