// The worker's program, as text: it must run from TypeScript source, from bundles and in browsers alike, so it imports nothing.

/**
 * Waits on control[0] (a generation counter), runs the named kernel, counts itself done in control[1].
 * It says 'ready' once it holds the memory: memory grown before that would look short to it.
 * control: [generation, done, kernel, stop, failed, job]; messages: { module, memory, control, thread, kernels }.
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
