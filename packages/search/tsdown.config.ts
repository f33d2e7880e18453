import { packageBuild } from '../../tsdown.base.ts';

export default packageBuild({
  entry: {
    'worker-thread': 'src/evaluate/worker-thread.ts',
    'child-process': 'src/evaluate/child-process.ts',
  },
  platform: 'node',
});
