import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    node: 'src/node.ts',
    queue: 'src/queue.ts',
    report: 'src/report.ts',
    cli: 'src/cli/main.ts',
    'worker-thread': 'src/evaluate/worker-thread.ts',
  },
  platform: 'node',
  dts: true,
});
