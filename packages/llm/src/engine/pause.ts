// A pause in long work, so that a page or a server can do other things meanwhile.

/** Where there is setImmediate (Node) it is a macrotask that costs next to nothing. */
const { setImmediate: immediately } = globalThis as { setImmediate?: (call: () => void) => unknown };

/** A macrotask: timers, input and rendering get their turn. A timer would wait 4 ms in browsers once nested. */
export function pause(): Promise<void> {
  return new Promise((resolve) => {
    if (immediately) {
      immediately(resolve);
      return;
    }
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
