// What a process holds: memory, descriptors, what keeps it alive.
import { readdirSync } from 'node:fs';

/** What a process holds. */
export interface Held {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** Files, sockets and pipes that are open; Linux alone. */
  readonly descriptors: number | null;
  /** Timers, sockets and the like that keep the process alive. */
  readonly resources: number;
  /** Seconds of processor time so far. */
  readonly cpuSeconds: number;
}

export function held(): Held {
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const resources = process.getActiveResourcesInfo().length;
  return {
    rss,
    heapUsed,
    external,
    arrayBuffers,
    descriptors: descriptors(),
    resources,
    cpuSeconds: (user + system) / 1e6,
  };
}

function descriptors(): number | null {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}
