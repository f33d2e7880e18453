// The worker's side: operations run when they are called, tell events, and are aborted through a signal.
import { failureOf, PlaygroundError, type FromWorker, type Operations, type ToWorker } from './protocol.ts';

/** What an operation has beside its input. */
export interface Context<Event> {
  readonly signal: AbortSignal;
  /** Tells the page something. @param transfer - buffers that need not be copied */
  readonly emit: (event: Event, transfer?: Transferable[]) => void;
}

export type Handlers<O extends Operations> = {
  readonly [N in keyof O]: (input: O[N]['input'], context: Context<O[N]['event']>) => Promise<O[N]['output']>;
};

/** Where messages come from and go to: a worker's global scope. */
export interface Port {
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<ToWorker>) => void): void;
}

/** Serves calls until the worker ends. */
export function serve<O extends Operations>(handlers: Handlers<O>, port: Port = globalThis as unknown as Port): void {
  const running = new Map<number, AbortController>();
  port.addEventListener('message', ({ data }) => {
    if ('abort' in data) {
      running.get(data.id)?.abort(new PlaygroundError('aborted', 'stopped'));
      return;
    }
    const { id, name, input } = data;
    const controller = new AbortController();
    running.set(id, controller);
    const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
    const context: Context<unknown> = {
      signal: controller.signal,
      emit: (event, transfer = []) => port.postMessage({ id, event }, transfer),
    };
    const run = async (): Promise<unknown> => {
      if (!handler) throw new PlaygroundError('internal', `the worker has no operation ${name}`);
      return handler(input, context);
    };
    void run()
      .then(
        (output) => port.postMessage({ id, output }),
        (error: unknown) => {
          const failure = controller.signal.aborted ? { code: 'aborted', message: 'stopped' } : failureOf(error);
          port.postMessage({ id, failure });
        },
      )
      .finally(() => running.delete(id));
  });
}
