// The worker's program, as text: it must run from TypeScript source, from bundles and in browsers alike, so it imports nothing.

/**
 * Words of the control block. From `workers` on one word a worker: 2·generation + 1 while it works on a generation, 2·generation once it
 * has done it, or was told that nothing is left to do.
 */
export const CONTROL = {
  generation: 0,
  done: 1,
  kernel: 2,
  stop: 3,
  failed: 4,
  job: 5,
  /** Workers that wait for a notification, and whether the calling thread does. Others look by themselves. */
  sleeping: 6,
  awaited: 7,
  workers: 8,
} as const;

/** Milliseconds that a thread looks for what it waits for before it sleeps: jobs of a model's step follow one another faster. */
export const SPIN = 0.05;

/**
 * Waits on control[0] (a generation counter), awake at first, where that was of use lately, then asleep (counted in control[6]); claims the
 * generation in its own word of control, runs the named kernel, says there that it is done, and counts control[1] up. A generation that
 * it does not claim in time may be taken back by the calling thread. It says 'ready' once it holds the memory: memory grown before that
 * would look short to it.
 * Messages: { module, memory, control, thread, kernels, life }; `life` is a port that closes when the worker ends.
 */
export const WORKER_SOURCE = `
(async () => {
  const start = ({ module, memory, control, thread, kernels }, ready) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory, abort() { throw new Error('abort') } } });
    ready();
    let seen = 0;
    const pause = Atomics.pause ? () => Atomics.pause() : () => {};
    const own = 7 + thread;
    let missed = 0;
    const awake = () => {
      if (missed > 3 && (missed++ & 15) !== 0) return false;
      for (const end = performance.now() + ${SPIN}; performance.now() < end;) {
        for (let i = 0; i < 50; i++) {
          if (Atomics.load(control, 0) !== seen) {
            missed = 0;
            return true;
          }
          pause();
        }
      }
      missed++;
      return false;
    };
    for (;;) {
      if (!awake()) {
        Atomics.add(control, 6, 1);
        Atomics.wait(control, 0, seen);
        Atomics.sub(control, 6, 1);
      }
      const now = Atomics.load(control, 0);
      if (now === seen) continue;
      seen = now;
      if (Atomics.load(control, 3) === 1) return;
      const before = Atomics.load(control, own);
      // Taken back, or older than one that was: the calling thread has gone on.
      if ((((now << 1) - before) | 0) <= 0) continue;
      if (Atomics.compareExchange(control, own, before, (now << 1) | 1) !== before) continue;
      try { exports[kernels[Atomics.load(control, 2)]](Atomics.load(control, 5), thread); }
      catch { Atomics.store(control, 4, 1); }
      Atomics.store(control, own, now << 1);
      Atomics.add(control, 1, 1);
      if (Atomics.load(control, 7) === 1) Atomics.notify(control, 1);
    }
  };
  if (typeof process === 'object' && process.versions && process.versions.node) {
    const { workerData, parentPort } = process.getBuiltinModule('node:worker_threads');
    start(workerData, () => parentPort.postMessage('ready'));
    process.exit(0);
  } else self.onmessage = ({ data }) => { start(data, () => self.postMessage('ready')); self.close(); };
})();
`;
