// Summaries of chunks of keys, for stages that score by them.
import type { HipConfig } from '@hip/mask-search';
import { envelopeChunks, paddedDim, summariesOf, type Summary } from '../plan/layout.ts';
import { Scope } from '../runtime/heap.ts';
import { JOB } from '../runtime/job.ts';
import { Table, type Ground, type Source } from './table.ts';

/** Summaries of chunks [0, …) of keys [sink, …). */
interface Chunks {
  readonly table: Table;
  /** Keys summarised so far. */
  keys: number;
}

export class Summaries {
  readonly #ground: Ground;
  readonly #found = new Map<string, Chunks>();

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get bytes(): number {
    return [...this.#found.values()].reduce((total, { table }) => total + table.bytes, 0);
  }

  /** Brings the summaries of a configuration's stages up to date. */
  update({ length, fields }: Source, config: Pick<HipConfig, 'sink' | 'stages'>): void {
    const { engine, shape, maxTokens } = this.#ground;
    for (const summary of summariesOf(config)) {
      const { chunk, score } = summary;
      const found = this.#chunks(config.sink, summary);
      const chunks = envelopeChunks(length, config.sink, chunk);
      if (found.keys === length || chunks === 0) continue;
      found.table.reserve(chunks, maxTokens === Infinity ? Infinity : envelopeChunks(maxTokens, config.sink, chunk));
      // The last chunk may have been summarised before it was complete.
      const first = Math.max(0, Math.floor((found.keys - config.sink) / chunk));
      using scope = new Scope(engine.heap);
      const stride = 2 * paddedDim(shape.headDim) * 4;
      const job = engine.job(scope, {
        ...fields,
        SINK: config.sink,
        ENVELOPE_STAGE: 0,
        FIRST_CHUNK: first,
        SCRATCH: scope.allocate(stride * engine.threads),
        SCRATCH_STRIDE: stride,
      });
      engine.heap
        .ints(job + JOB.STAGE, 7)
        .set([chunk, 0, 0, 0, score === 'deviation' ? 3 : 1, found.table.at(), found.table.room]);
      engine.run('envelopes', job, shape.batch * shape.kvHeads * (chunks - first));
      found.keys = length;
    }
  }

  /** Address (from batch entry `batch` on) and chunks per (batch, kv head) of a summary. */
  find(sink: number, summary: Summary, batch: number): { readonly at: number; readonly room: number } {
    const { table } = this.#chunks(sink, summary);
    return { at: table.at(batch), room: table.room };
  }

  /** A copy for another store of the same keys. */
  fork(ground: Ground): Summaries {
    const fork = new Summaries(ground);
    for (const [name, { table, keys }] of this.#found) fork.#found.set(name, { table: table.fork(ground), keys });
    return fork;
  }

  /** Only the first `length` keys are left: the chunk that lost keys is summarised anew, that of the last key there still is. */
  truncate(length: number): void {
    for (const found of this.#found.values()) if (found.keys > length) found.keys = Math.max(0, length - 1);
  }

  clear(): void {
    this.#found.clear();
  }

  #chunks(sink: number, { score, chunk }: Summary): Chunks {
    const name = `${score} ${sink}/${chunk}`;
    let found = this.#found.get(name);
    if (!found) {
      const row = 2 * paddedDim(this.#ground.shape.headDim) * 4;
      this.#found.set(name, (found = { table: new Table(this.#ground, row), keys: 0 }));
    }
    return found;
  }
}
