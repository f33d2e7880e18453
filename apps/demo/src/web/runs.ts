// The one run a server has at a time: its worker, what it said so far, who listens.
import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import type { RunMessage, StartRequest } from './messages.ts';
import type { WorkerInput } from './worker.ts';

export type Listener = (message: RunMessage) => void;

/** Messages of the same kind of which only the newest says anything. */
const TRANSIENT = new Set<RunMessage['type']>(['prefilling', 'generating', 'asking']);

export class Runs {
  readonly #out: string;
  readonly #listeners = new Set<Listener>();
  #messages: RunMessage[] = [];
  #worker: Worker | undefined;

  constructor(out: string) {
    this.#out = out;
  }

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** Starts a run. @returns false while another one goes */
  start(request: StartRequest): boolean {
    if (this.#worker) return false;
    const workerData: WorkerInput = { ...request, out: this.#out };
    const worker = new Worker(join(import.meta.dirname, 'worker.ts'), { workerData });
    this.#worker = worker;
    this.#messages = [];
    this.#tell({ type: 'begin' });
    let hasEnded = false;
    worker.on('message', (message: RunMessage) => {
      hasEnded ||= message.type === 'end';
      if (message.type === 'end') this.#worker = undefined;
      this.#tell(message);
    });
    worker.on('error', (error) => {
      hasEnded = true;
      this.#worker = undefined;
      this.#tell({ type: 'end', status: 1, message: error.message });
    });
    worker.on('exit', () => {
      if (!hasEnded) this.#tell({ type: 'end', status: 1, message: 'the worker ended early' });
      if (this.#worker === worker) this.#worker = undefined;
    });
    return true;
  }

  /** Asks the run to stop where it can be resumed. */
  stop(): void {
    this.#worker?.postMessage('stop');
  }

  /** Tells a listener everything so far, then everything new. @returns how to stop listening */
  listen(listener: Listener): () => void {
    this.#messages.forEach(listener);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the run at once. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #tell(message: RunMessage): void {
    const last = this.#messages.at(-1);
    if (last && TRANSIENT.has(message.type) && last.type === message.type) this.#messages.pop();
    this.#messages.push(message);
    for (const listener of this.#listeners) listener(message);
  }
}
