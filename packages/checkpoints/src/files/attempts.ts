// One request tried up to three times: what is worth trying again, how long to wait, and what an abort does meanwhile.
import { CheckpointError } from '../errors.ts';
import { deepestReason } from './reason.ts';

/** What a reading of a remote file may be told. */
export interface HttpSourceOptions {
  /** @defaultValue globalThis.fetch */
  readonly fetch?: typeof fetch | undefined;
  /** Extra request headers, e.g. authorization. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which a request is given up. @defaultValue 20,000 */
  readonly idleTimeoutMs?: number | undefined;
  /** Bytes of a small file (JSON, a vocabulary) at most, unpacked. @defaultValue 128 MiB */
  readonly maxTextBytes?: number | undefined;
  /** Milliseconds before the first of two retries of what may pass (429, 5xx, a cut connection); twice as many before the second. @defaultValue 400 */
  readonly retryDelayMs?: number | undefined;
}

/** Times that something is tried again. */
const RETRIES = 2;
/** Longest wait that a server's Retry-After is followed for, milliseconds. */
const LONGEST_WAIT = 10_000;

/** A failure that may pass: a cut connection, 429, 5xx, an answer to another question. */
export class Interrupted extends Error {
  readonly waitMs: number | undefined;
  readonly error: CheckpointError;

  constructor(error: CheckpointError, waitMs?: number) {
    super(error.message);
    this.error = error;
    this.waitMs = waitMs;
  }
}

/** Runs an action, again after {@link Interrupted}, up to two more times. @throws CheckpointError what it failed with last, `aborted` */
export async function attempts<T>(url: string, options: HttpSourceOptions, action: () => Promise<T>): Promise<T> {
  const { retryDelayMs = 400, signal } = options;
  for (let failed = 0; ; failed++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      if (failed === RETRIES) throw error.error;
      await pause(Math.min(error.waitMs ?? retryDelayMs * 2 ** failed, LONGEST_WAIT), signal);
      if (signal?.aborted) throw aborted(url, signal.reason);
    }
  }
}

/** Milliseconds that a server asks to wait (`Retry-After`: seconds, or a date). */
export function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('retry-after');
  if (value === null) return undefined;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

/** A download that was broken off by its signal. */
export function aborted(url: string, cause: unknown): CheckpointError {
  return new CheckpointError('aborted', `download of ${url} was aborted`, { url }, { cause });
}

/** A connection that failed or was cut. */
export function cut(url: string, cause: unknown): Interrupted {
  const message = `request to ${url} failed: ${deepestReason(cause)}`;
  return new Interrupted(new CheckpointError('network', message, { url }, { cause }));
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener('abort', done);
    if (signal?.aborted) done();
  });
}
