// Signs of life of a study's writer, from a thread of their own: a measurement may hold the main thread for hours.
import type { Worker } from 'node:worker_threads';
import { OWNER_STALE_MS } from './owner.ts';

export interface Beating {
  readonly path: string;
  readonly id: number;
  readonly fence: number;
  /** Of a shared study: whose leases are kept, and for how long from each sign. */
  readonly lease?: { readonly owner: string; readonly ms: number };
}

const HEARTBEAT_MS = OWNER_STALE_MS / 4;

/**
 * The thread's text, since bundlers leave files of threads behind. It opens a file for each sign, so that it never holds one.
 * A locked or full file is said by the writer's next change.
 */
const SOURCE = `
const { parentPort, workerData } = require('node:worker_threads');
const { DatabaseSync } = require('node:sqlite');
const beatings = new Map();
parentPort.on('message', ({ key, beating }) => (beating ? beatings.set(key, beating) : beatings.delete(key)));
setInterval(() => {
  for (const { path, id, fence, lease } of beatings.values()) {
    try {
      const database = new DatabaseSync(path, { timeout: 1000 });
      try {
        if (lease)
          database
            .prepare("UPDATE trials SET lease_until = ? WHERE study_id = ? AND lease_owner = ? AND status = 'running'")
            .run(Date.now() + lease.ms, id, lease.owner);
        else database.prepare('UPDATE studies SET owner_seen_at = ? WHERE id = ? AND fence = ?').run(Date.now(), id, fence);
      } finally {
        database.close();
      }
    } catch {}
  }
}, workerData);
`;

/** A thread that gives signs of life for the studies it is told of. It keeps no process alive. */
export class Heartbeat {
  readonly #everyMs: number;
  #thread: Worker | undefined;
  #beatings = 0;

  constructor(everyMs = HEARTBEAT_MS) {
    this.#everyMs = everyMs;
  }

  /** @returns what {@link remove} takes */
  add(beating: Beating): number {
    const key = ++this.#beatings;
    const path = process.getBuiltinModule('node:path').resolve(beating.path);
    try {
      this.#thread ??= this.#start();
      this.#thread.postMessage({ key, beating: { ...beating, path } });
    } catch {
      // Node's permission model: the writer then counts as gone sooner, and the fence keeps the file right.
    }
    return key;
  }

  remove(key: number): void {
    this.#thread?.postMessage({ key });
  }

  async end(): Promise<void> {
    await this.#thread?.terminate();
  }

  #start(): Worker {
    const { Worker: Thread } = process.getBuiltinModule('node:worker_threads');
    const worker = new Thread(SOURCE, { eval: true, workerData: this.#everyMs });
    worker.unref();
    const gone = () => {
      if (this.#thread === worker) this.#thread = undefined;
    };
    worker.on('error', gone);
    worker.on('exit', gone);
    return worker;
  }
}

/** This process's: one thread serves all its studies. */
export const heartbeat = new Heartbeat();
