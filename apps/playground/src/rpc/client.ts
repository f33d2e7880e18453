// The page's side of a worker: calls that are promises, with events and abortion; a worker that dies fails all of them.
import { PlaygroundError, type FromWorker, type Operations, type ToWorker } from './protocol.ts';

export interface CallOptions<Event> {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: Event) => void) | undefined;
}

/** The part of a Worker that is used. */
export type WorkerLike = Pick<Worker, 'postMessage' | 'terminate' | 'addEventListener'>;

interface Pending {
  resolve(output: unknown): void;
  reject(error: PlaygroundError): void;
  onEvent(event: unknown): void;
}

/** Calls a worker's operations. The worker begins with the first call; {@link close} ends it and frees all that it holds. */
export class WorkerClient<O extends Operations> {
  readonly #start: () => WorkerLike;
  readonly #pending = new Map<number, Pending>();
  #worker: WorkerLike | undefined;
  #next = 0;

  constructor(start: () => WorkerLike) {
    this.#start = start;
  }

  /** @throws PlaygroundError with the code of what was thrown, `aborted`, or `worker-failed` where the worker itself ended */
  async call<N extends keyof O & string>(
    name: N,
    input: O[N]['input'],
    { signal, onEvent }: CallOptions<O[N]['event']> = {},
  ): Promise<O[N]['output']> {
    if (signal?.aborted) throw new PlaygroundError('aborted', 'stopped');
    const worker = (this.#worker ??= this.#open());
    const id = this.#next++;
    const send = (message: ToWorker): void => worker.postMessage(message);
    const abort = (): void => send({ id, abort: true });
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject, onEvent: (event) => onEvent?.(event) });
        signal?.addEventListener('abort', abort, { once: true });
        send({ id, name, input });
      });
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#pending.delete(id);
    }
  }

  /** Ends the worker; calls that run fail with `aborted`. The next call begins another. */
  close(): void {
    this.#end(new PlaygroundError('aborted', 'stopped'));
  }

  #open(): WorkerLike {
    const worker = this.#start();
    worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
      const pending = this.#pending.get(data.id);
      if (!pending) return;
      if ('event' in data) pending.onEvent(data.event);
      else if ('failure' in data) pending.reject(new PlaygroundError(data.failure.code, data.failure.message));
      else pending.resolve(data.output);
    });
    const failed = (event: Event): void => {
      const { message } = event as Partial<ErrorEvent>;
      const text = message ? `the worker failed: ${message}` : 'the worker could not be loaded';
      if (this.#worker === worker) this.#end(new PlaygroundError('worker-failed', `${text}. Reload the page`));
    };
    worker.addEventListener('error', failed);
    worker.addEventListener('messageerror', failed);
    return worker;
  }

  #end(error: PlaygroundError): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }
}
