// Means of a remainder's blocks, of keys and of values: assembly/cache/means.ts.
import type { Remainder } from '@hip/mask-search';
import { meansBytes, meansRoom, paddedDim } from '../plan/layout.ts';
import { Scope } from '../runtime/heap.ts';
import type { JobFields } from '../runtime/job.ts';
import { copyBytes, type Ground, type Source } from './table.ts';

/** Means of base blocks and of blocks of them, from a sink on; `room` is the base blocks there is memory for. */
interface Means {
  readonly sink: number;
  readonly block: number;
  at: number;
  room: number;
  /** Base blocks there are means of, and those of them that are joined. */
  blocks: number;
  joined: number;
}

export class BlockMeans {
  readonly #ground: Ground;
  readonly #found = new Map<string, Means>();

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get bytes(): number {
    return [...this.#found.values()].reduce((total, { room }) => total + meansBytes(this.#ground.shape, room), 0);
  }

  /** Brings the means of a remainder's blocks up to date: new base blocks, and what they complete. */
  update({ length, fields }: Source, sink: number, { block }: Pick<Remainder, 'block'>): void {
    const { engine, shape } = this.#ground;
    const means = this.#means(sink, block);
    const blocks = Math.floor(Math.max(0, length - sink) / block);
    if (means.blocks === blocks) return;
    const first = means.blocks;
    this.#reserve(means, blocks);
    using scope = new Scope(engine.heap);
    const stride = paddedDim(shape.headDim) * 4;
    const job = engine.job(scope, {
      ...fields,
      SINK: sink,
      MEANS_BLOCK: block,
      MEANS: means.at,
      MEANS_ROOM: means.room,
      MEANS_FIRST: first,
      JOIN_FIRST: means.joined,
      SCRATCH: scope.allocate(stride * engine.threads),
      SCRATCH_STRIDE: stride,
    });
    engine.run('blockMeans', job, shape.batch * shape.kvHeads * (blocks - first));
    engine.run('joinMeans', job, shape.batch * shape.kvHeads);
    means.blocks = means.joined = blocks;
  }

  /** Job fields that describe the means from batch entry `batch` on. */
  fields(sink: number, { block }: Pick<Remainder, 'block'>, batch: number): JobFields {
    const { kvHeads, headDim } = this.#ground.shape;
    const means = this.#means(sink, block);
    const bytes = 4 * means.room * paddedDim(headDim) * 4;
    return { MEANS: means.at + batch * kvHeads * bytes, MEANS_ROOM: means.room };
  }

  /** A copy for another store of the same keys. */
  fork(ground: Ground): BlockMeans {
    const fork = new BlockMeans(ground);
    for (const [name, means] of this.#found) {
      const bytes = meansBytes(ground.shape, means.room);
      const at = bytes === 0 ? 0 : ground.scope.allocate(bytes);
      copyBytes(ground, means.at, at, bytes);
      fork.#found.set(name, { ...means, at });
    }
    return fork;
  }

  /** Only the first `length` keys are left. */
  truncate(length: number): void {
    for (const means of this.#found.values()) {
      means.blocks = Math.min(means.blocks, Math.floor(Math.max(0, length - means.sink) / means.block));
      means.joined = Math.min(means.joined, means.blocks);
    }
  }

  clear(): void {
    this.#found.clear();
  }

  #means(sink: number, block: number): Means {
    const name = `${sink}/${block}`;
    let found = this.#found.get(name);
    if (!found) this.#found.set(name, (found = { sink, block, at: 0, room: 0, blocks: 0, joined: 0 }));
    return found;
  }

  /** Room for `blocks` base blocks and what they are joined to, which is done anew where they move. */
  #reserve(means: Means, blocks: number): void {
    if (means.room >= blocks) return;
    const { engine, scope, shape, maxTokens } = this.#ground;
    const tokens = maxTokens === Infinity ? means.sink + blocks * means.block : maxTokens;
    const room = meansRoom(tokens, means.sink, means.block);
    const at = scope.allocate(meansBytes(shape, room));
    const row = 2 * paddedDim(shape.headDim) * 4;
    const bytes = new Uint8Array(engine.heap.memory.buffer);
    for (let bh = 0; bh < shape.batch * shape.kvHeads; bh++) {
      const from = means.at + bh * 2 * means.room * row;
      bytes.copyWithin(at + bh * 2 * room * row, from, from + means.blocks * row);
    }
    if (means.room > 0) scope.release(means.at);
    means.at = at;
    means.room = room;
    means.joined = 0;
  }
}
