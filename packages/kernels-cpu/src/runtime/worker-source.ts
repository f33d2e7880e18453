// The worker's program, as text: it must run from TypeScript source, from bundles and in browsers alike, so it imports nothing.

/** Words of the control block, and its length with one more word a worker: the last generation that worker has done. */
export const CONTROL = { generation: 0, done: 1, kernel: 2, stop: 3, failed: 4, job: 5, workers: 8 } as const;

/**
 * Waits on control[0] (a generation counter), runs the named kernel, writes the generation into its own word of control and counts
 * control[1] up. It says 'ready' once it holds the memory: memory grown before that would look short to it.
 * Messages: { module, memory, control, thread, kernels, life }; `life` is a port that closes when the worker ends.
 */
export const WORKER_SOURCE = `
(async () => {
  const start = ({ module, memory, control, thread, kernels }, ready) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory, abort() { throw new Error('abort') } } });
    ready();
    let seen = 0;
    for (;;) {
      Atomics.wait(control, 0, seen);
      const now = Atomics.load(control, 0);
      if (now === seen) continue;
      seen = now;
      if (Atomics.load(control, 3) === 1) return;
      try { exports[kernels[Atomics.load(control, 2)]](Atomics.load(control, 5), thread); }
      catch { Atomics.store(control, 4, 1); }
      Atomics.store(control, 7 + thread, seen);
      Atomics.add(control, 1, 1);
      Atomics.notify(control, 1);
    }
  };
  if (typeof process === 'object' && process.versions && process.versions.node) {
    const { workerData, parentPort } = process.getBuiltinModule('node:worker_threads');
    start(workerData, () => parentPort.postMessage('ready'));
    process.exit(0);
  } else self.onmessage = ({ data }) => { start(data, () => self.postMessage('ready')); self.close(); };
})();
`;
