// Running steps: in one go, or asynchronously with pauses, progress and abortion.
import type { Steps } from './engine.ts';

export interface AsyncOptions {
  /** Aborts the call between two slices of its work; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called between slices with the share done, 0…1, and with 1 at the end. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** Runs all steps at once. */
export function drive<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Runs steps with a pause for other tasks after each. Memory is released also when aborted. */
export async function driveAsync<T>(steps: Steps<T>, { signal, onProgress }: AsyncOptions): Promise<T> {
  try {
    for (;;) {
      signal?.throwIfAborted();
      const result = steps.next();
      if (result.done) {
        onProgress?.(1);
        return result.value;
      }
      onProgress?.(result.value);
      await pause();
    }
  } finally {
    // Ends the generator at its yield, which disposes what it holds.
    steps.return(undefined as never);
  }
}

/** A macrotask: timers, input and rendering get their turn. A timer would wait 4 ms in browsers once nested. */
function pause(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener(
      'message',
      () => {
        port1.close();
        resolve();
      },
      { once: true },
    );
    // Listeners, unlike onmessage, do not start the port.
    port1.start();
    port2.postMessage(0);
  });
}
