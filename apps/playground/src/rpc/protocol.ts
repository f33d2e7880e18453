// What a page and its worker say to each other: calls with an id, events on the way, one result or failure, and abortion.

/** A worker's operations: what each is given, what it tells on the way, what comes of it. Structured clones all. */
export type Operations = Readonly<
  Record<string, { readonly input: unknown; readonly event: unknown; readonly output: unknown }>
>;

/** An error as data: the code, and a sentence that names the value and the fix. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

export type ToWorker =
  | { readonly id: number; readonly name: string; readonly input: unknown }
  | { readonly id: number; readonly abort: true };

export type FromWorker =
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly output: unknown }
  | { readonly id: number; readonly failure: Failure };

/** What a page shows of an error, whoever threw it. */
export class PlaygroundError extends Error implements Failure {
  override readonly name = 'PlaygroundError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Any thrown value as data. Errors of the packages bring their code; others are `internal`. */
export function failureOf(error: unknown): Failure {
  const { code, name, message } = Object(error) as { code?: unknown; name?: unknown; message?: unknown };
  const text = typeof message === 'string' && message !== '' ? message : String(error);
  if (name === 'AbortError') return { code: 'aborted', message: 'stopped' };
  if (name === 'NotReadableError') {
    return { code: 'file-access', message: 'a file has changed or gone since it was chosen: choose it again' };
  }
  if (typeof code === 'string') return { code, message: text };
  // WebAssembly and array buffers that the browser has no room for.
  if (error instanceof RangeError && /memory|allocation|array buffer/i.test(text)) {
    return { code: 'out-of-memory', message: `${text}: take a smaller model, or fewer tokens` };
  }
  return { code: 'internal', message: text };
}
