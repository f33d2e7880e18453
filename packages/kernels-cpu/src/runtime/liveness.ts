// Whether a worker is still there, asked while the event loop is blocked: its exit event would come too late.

/** Node's `receiveMessageOnPort`. */
export type Receive = (port: MessagePort) => { readonly message: unknown } | undefined;

/** One end of a channel whose other end a worker holds until it ends, however it ends. */
export class Lifeline {
  #own: MessagePort;
  /** The worker's end, to be transferred to it. */
  readonly theirs: MessagePort;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#own = port1;
    this.theirs = port2;
  }

  /**
   * False once the worker has ended. Node closes a port when it reads that the other end is closed, and a closed port cannot be
   * transferred: reading from it and moving it through another channel asks, without the event loop.
   */
  isAlive(receive: Receive): boolean {
    receive(this.#own);
    const { port1, port2 } = new MessageChannel();
    try {
      port1.postMessage(this.#own, [this.#own]);
      this.#own = receive(port2)!.message as MessagePort;
      return true;
    } catch {
      return false;
    } finally {
      port1.close();
    }
  }

  close(): void {
    this.#own.close();
  }
}
