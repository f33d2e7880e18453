// The Redis or Valkey behind a queue: its address without secrets, connections that end when they are told to, and whether it is there.
import type { Redis } from 'ioredis';
import { SearchError, messageOf } from '../errors.ts';
import { queuePackages } from './queue-packages.ts';

/** Told once when the server goes, and once when it is back. */
export interface ConnectionChange {
  readonly connected: boolean;
  /** One sentence, without user name and password. */
  readonly message: string;
}

/** Longest pause before the next try to connect. */
const RETRY_MS = 1000;

/**
 * An address as it may be shown.
 *
 * @throws SearchError `invalid-option`; its message holds nothing of the address, which may have a password in it
 */
export function serverName(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw unreadable();
  }
  if (!['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '') throw unreadable();
  return `${parsed.protocol}//${parsed.host}`;
}

const unreadable = (): SearchError =>
  new SearchError(
    'invalid-option',
    'the address of the Redis server cannot be read: use redis://[user:password@]host[:port][/database], or rediss: for TLS, with special characters of user and password percent-encoded',
  );

/** Settles with the promise, or with undefined after so many milliseconds. A rejection counts as an end. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((settle) => (timer = setTimeout(() => settle(undefined), ms)));
  try {
    return await Promise.race([promise.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Says hello to the server, so that a wrong address or password is an error now instead of endless reconnecting.
 *
 * @throws SearchError `queue-unreachable`, `invalid-option`, `missing-package`
 */
export async function checkServer(url: string, timeoutMs: number): Promise<void> {
  const server = serverName(url);
  const { Redis: Client } = await queuePackages();
  const client = new Client(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let cause: unknown;
  client.on('error', (error: Error) => {
    cause = error;
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    // A server that takes the connection and says nothing is none either.
    const silent = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    });
    await Promise.race([client.connect().then(() => client.ping()), silent]);
  } catch (error) {
    // Not the error itself: a refused AUTH carries its arguments, the password among them.
    throw new SearchError(
      'queue-unreachable',
      `no Redis at ${server} (${messageOf(cause ?? error)}): start redis-server or valkey-server there, or mend user and password`,
      { url: server },
    );
  } finally {
    clearTimeout(timer);
    client.disconnect();
  }
}

/** Connections to one server that all end with {@link Connections.close}, whether it is there or not. */
export interface Connections {
  /** As BullMQ wants it: blocking commands wait as long as it takes. */
  readonly options: {
    readonly url: string;
    readonly maxRetriesPerRequest: null;
    readonly retryStrategy: (times: number) => number | null;
  };
  close(): void;
}

/** @param onChange is told when the server goes and when it is back */
export async function openConnections(
  url: string,
  onChange?: (change: ConnectionChange) => void,
): Promise<Connections> {
  const server = serverName(url);
  const { Redis: Client } = await queuePackages();
  let isClosed = false;
  const options = {
    url,
    maxRetriesPerRequest: null,
    // null ends the connection and what waits for it.
    retryStrategy: (times: number) => (isClosed ? null : Math.min(50 * times, RETRY_MS)),
  };
  let watcher: Redis | undefined;
  if (onChange) {
    watcher = new Client(url, { maxRetriesPerRequest: null, retryStrategy: options.retryStrategy });
    let isThere = true;
    const say = (connected: boolean) => {
      if (isClosed || connected === isThere) return;
      isThere = connected;
      const message = connected
        ? `Redis at ${server} is back: going on`
        : `Redis at ${server} is gone: waiting for it, and going on when it is back`;
      onChange({ connected, message });
    };
    watcher.on('error', () => {});
    watcher.on('close', () => say(false));
    watcher.on('ready', () => say(true));
  }
  return {
    options,
    close() {
      isClosed = true;
      watcher?.disconnect();
    },
  };
}
