// Compact keys, small integers for the stages that score keys one by one: assembly/cache/compact.ts.
import type { HipConfig } from '@hip/mask-search';
import { compactDimsOf, compactGroupBytes, compactGroups, paddedDim, type CompactDims } from '../plan/layout.ts';
import { Scope } from '../runtime/heap.ts';
import { JOB } from '../runtime/job.ts';
import { Table, type Ground, type Source } from './table.ts';

/** Tokens of a work item. */
const RUN = 64;

/** Groups of keys [0, …), of which one starts at the sink. */
interface Groups {
  readonly table: Table;
  /** Keys held so far. */
  keys: number;
}

export class CompactKeys {
  readonly #ground: Ground;
  readonly #found = new Map<string, Groups>();

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get bytes(): number {
    return [...this.#found.values()].reduce((total, { table }) => total + table.bytes, 0);
  }

  /** Brings the compact keys of a configuration's stages up to date. */
  update({ length, fields }: Source, config: Pick<HipConfig, 'sink' | 'stages'>): void {
    const { engine, shape, maxTokens } = this.#ground;
    for (const dims of compactDimsOf(config)) {
      const found = this.#groups(config.sink, dims);
      if (found.keys === length) continue;
      const most = maxTokens === Infinity ? Infinity : compactGroups(maxTokens, config.sink);
      found.table.reserve(compactGroups(length, config.sink), most);
      using scope = new Scope(engine.heap);
      // An unpacked key, and its channels.
      const stride = 2 * paddedDim(shape.headDim) * 4;
      const job = engine.job(scope, {
        ...fields,
        SINK: config.sink,
        ENVELOPE_STAGE: 0,
        FIRST_TOKEN: found.keys,
        SCRATCH: scope.allocate(stride * engine.threads),
        SCRATCH_STRIDE: stride,
      });
      const record = [0, 0, 0, 0, 0, found.table.at(), found.table.room, dims === 'slow-half' ? 1 : 0];
      engine.heap.ints(job + JOB.STAGE, record.length).set(record);
      engine.run('compactKeys', job, shape.batch * shape.kvHeads * Math.ceil((length - found.keys) / RUN));
      found.keys = length;
    }
  }

  /** Address (from batch entry `batch` on) and groups per (batch, kv head). */
  find(sink: number, dims: CompactDims, batch: number): { readonly at: number; readonly room: number } {
    const { table } = this.#groups(sink, dims);
    return { at: table.at(batch), room: table.room };
  }

  /** A copy for another store of the same keys. */
  fork(ground: Ground): CompactKeys {
    const fork = new CompactKeys(ground);
    for (const [name, { table, keys }] of this.#found) fork.#found.set(name, { table: table.fork(ground), keys });
    return fork;
  }

  /** Only the first `length` keys are left. */
  truncate(length: number): void {
    for (const found of this.#found.values()) found.keys = Math.min(found.keys, length);
  }

  clear(): void {
    this.#found.clear();
  }

  #groups(sink: number, dims: CompactDims): Groups {
    const name = `${dims} ${sink & 3}`;
    let found = this.#found.get(name);
    if (!found) {
      const { engine, shape } = this.#ground;
      const row = compactGroupBytes(shape.headDim, dims, engine.simd === 'relaxed' ? 'bytes' : 'pairs');
      this.#found.set(name, (found = { table: new Table(this.#ground, row), keys: 0 }));
    }
    return found;
  }
}
