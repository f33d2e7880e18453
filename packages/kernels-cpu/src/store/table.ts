// Tables beside the pages, made of keys and values: rows of one size for every batch entry and kv head, which grow.
import type { Engine } from '../runtime/engine.ts';
import { alignBytes, type Scope } from '../runtime/heap.ts';
import type { JobFields } from '../runtime/job.ts';

export interface StoreShape {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What tables are made in. */
export interface Ground {
  readonly engine: Engine;
  readonly scope: Scope;
  readonly shape: StoreShape;
  /** Tokens there will ever be; Infinity where that is not known. */
  readonly maxTokens: number;
}

/** The keys and values that tables are made of. */
export interface Source {
  readonly length: number;
  /** Job fields that describe the pages from the first batch entry on. */
  readonly fields: JobFields;
}

/** Copies bytes inside the memory. */
export function copyBytes({ engine }: Pick<Ground, 'engine'>, from: number, to: number, bytes: number): void {
  new Uint8Array(engine.heap.memory.buffer).copyWithin(to, from, from + bytes);
}

/** Rows [batch·kvHeads][room][rowBytes]. */
export class Table {
  readonly rowBytes: number;
  readonly #ground: Ground;
  #at = 0;
  #room = 0;

  constructor(ground: Ground, rowBytes: number) {
    this.#ground = ground;
    this.rowBytes = rowBytes;
  }

  /** Where it lies from batch entry `batch` on. */
  at(batch = 0): number {
    return this.#at + batch * this.#ground.shape.kvHeads * this.#room * this.rowBytes;
  }

  /** Rows of a batch entry and kv head there is memory for. */
  get room(): number {
    return this.#room;
  }

  get bytes(): number {
    const { batch, kvHeads } = this.#ground.shape;
    return this.#room === 0 ? 0 : alignBytes(batch * kvHeads * this.#room * this.rowBytes);
  }

  /** A copy for another store of the same shape. */
  fork(ground: Ground): Table {
    const fork = new Table(ground, this.rowBytes);
    if (this.#room === 0) return fork;
    fork.#at = ground.scope.allocate(this.bytes);
    fork.#room = this.#room;
    copyBytes(ground, this.#at, fork.#at, this.bytes);
    return fork;
  }

  /** Makes room for `rows`: `most` at once where that is finite, else exactly `rows` at first, doubled when it grows. */
  reserve(rows: number, most: number): void {
    if (this.#room >= rows) return;
    const { engine, scope, shape } = this.#ground;
    const heads = shape.batch * shape.kvHeads;
    const room = most === Infinity ? Math.max(rows, 2 * this.#room) : most;
    const at = scope.allocate(heads * room * this.rowBytes);
    const bytes = new Uint8Array(engine.heap.memory.buffer);
    for (let bh = 0; bh < heads; bh++) {
      const from = this.#at + bh * this.#room * this.rowBytes;
      bytes.copyWithin(at + bh * room * this.rowBytes, from, from + this.#room * this.rowBytes);
    }
    if (this.#room > 0) scope.release(this.#at);
    this.#at = at;
    this.#room = room;
  }
}
