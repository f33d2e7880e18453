// One HTTP request: its answer with typed errors, its body in chunks, nothing waited for longer than the idle time.
import { CheckpointError } from '../errors.ts';
import { Interrupted, aborted, cut, retryAfter } from './attempts.ts';
import type { HttpSourceOptions } from './attempts.ts';

const IDLE_MS = 20_000;

/** An answer, and its body when asked for. */
export interface Transfer {
  readonly response: Response;
  /** The body's chunks, unpacked. @throws Interrupted for a cut, CheckpointError `network` when idle, `aborted` */
  readonly chunks: () => AsyncGenerator<Uint8Array>;
  /** Drops the body and the connection. */
  readonly cancel: () => void;
}

/**
 * Sends one request. Statuses below 500 other than 429 are the caller's.
 *
 * @throws Interrupted for a failed connection, 429 and 5xx; CheckpointError `network` when idle, `aborted`
 */
export async function transfer(
  url: string,
  options: HttpSourceOptions,
  headers: Readonly<Record<string, string>> = {},
  init: RequestInit = {},
): Promise<Transfer> {
  const { fetch: send = fetch, signal, idleTimeoutMs = IDLE_MS } = options;
  const controller = new AbortController();
  const stop = () => controller.abort(signal?.reason);
  if (signal?.aborted) throw aborted(url, signal.reason);
  signal?.addEventListener('abort', stop);
  const release = () => signal?.removeEventListener('abort', stop);
  const cancel = () => {
    release();
    controller.abort();
  };
  /** Awaits a step of the transfer; what fails is typed. */
  const step = async <T>(promise: Promise<T>): Promise<T> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const idle = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = `${url} sent nothing for ${idleTimeoutMs} ms: given up (idleTimeoutMs)`;
        reject(new CheckpointError('network', message, { url, idleTimeoutMs }));
      }, idleTimeoutMs);
    });
    // A signal that a given fetch does not heed ends the wait all the same.
    let onAbort = () => {};
    const stopped = new Promise<never>((_, reject) => {
      onAbort = () => reject(aborted(url, signal?.reason));
      controller.signal.addEventListener('abort', onAbort);
    });
    stopped.catch(() => {});
    try {
      return await Promise.race([promise, idle, stopped]);
    } catch (error) {
      if (signal?.aborted) throw aborted(url, signal.reason);
      cancel();
      throw error instanceof CheckpointError ? error : cut(url, error);
    } finally {
      clearTimeout(timer);
      controller.signal.removeEventListener('abort', onAbort);
    }
  };
  const sent = { ...init, headers: { ...options.headers, ...headers }, signal: controller.signal };
  const response = await step(send(url, sent));
  if (response.status === 429 || response.status >= 500) {
    cancel();
    const details = { url, status: response.status };
    const error = new CheckpointError('network', `${url} answered ${response.status}`, details);
    throw new Interrupted(error, retryAfter(response));
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    let isWhole = false;
    try {
      while (reader) {
        const { done, value } = await step(reader.read());
        if (done) break;
        yield value;
      }
      isWhole = true;
    } finally {
      if (!isWhole) cancel();
      release();
    }
  }
  return { response, chunks, cancel };
}

/** Errors of statuses that say no. @throws CheckpointError `file-not-found` on 404 and 410, `network` on other ones from 400 on */
export function requireAnswer({ response, cancel }: Transfer, url: string): void {
  const { status } = response;
  if (status < 400) return;
  cancel();
  if (status === 404 || status === 410) {
    throw new CheckpointError('file-not-found', `${url} does not exist (${status})`, { url, status });
  }
  throw new CheckpointError('network', `${url} answered ${status}`, { url, status });
}

/** `bytes FIRST-LAST/TOTAL`; total undefined where the server does not know. */
export function contentRange(response: Response): { first: number; last: number; total?: number } | undefined {
  const [, first, last, total] =
    /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (first === undefined || last === undefined) return undefined;
  return { first: Number(first), last: Number(last), ...(total !== '*' && { total: Number(total) }) };
}
