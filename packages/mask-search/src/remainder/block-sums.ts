// Sums of blocks of vectors, kept while tokens are appended and cut back: the remainder's statistics.
import type { AttentionShape } from '../block-mask.ts';
import { vectorOffset } from '../attention/score.ts';
import type { FloatArray } from '../inputs.ts';
import { MemoryMeter, type WorkCount } from '../work.ts';

/**
 * Sums of base blocks of `block` vectors from `sink` on, for each batch element and kv head, and of pairs, fours, eights … of them as
 * they are asked for. A sum does not depend on the order of appends: a base block adds up its vectors in order, a larger block its two
 * halves. Appending costs O(Hkv·d) a token; memory up to 2·B·Hkv·(Tk / block)·d numbers.
 */
export class BlockSums {
  readonly #sink: number;
  readonly #block: number;
  readonly #kvHeads: number;
  readonly #d: number;
  /** By batch element: by level, [blocks, kvHeads, d]; level l has blocks of block·2^l. */
  readonly #levels: Float64Array[][];
  /** Blocks that a level holds. */
  readonly #filled: number[] = [0];
  readonly #meter: MemoryMeter | undefined;
  #tokens: number;

  constructor(
    { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
    sink: number,
    block: number,
    meter?: MemoryMeter,
  ) {
    this.#sink = sink;
    this.#block = block;
    this.#kvHeads = kvHeads;
    this.#d = headDim;
    this.#tokens = sink;
    this.#meter = meter;
    this.#levels = Array.from({ length: batch }, () => [new Float64Array()]);
  }

  /** Takes in the vectors that are new in x [B, tokens, Hkv, d]. */
  extend(x: FloatArray, tokens: number, work?: WorkCount): void {
    if (tokens <= this.#tokens) return;
    const width = this.#kvHeads * this.#d;
    const blocks = Math.ceil((tokens - this.#sink) / this.#block);
    this.#levels.forEach((_, b) => {
      const sums = this.#room(b, 0, blocks);
      for (let token = this.#tokens; token < tokens; token++) {
        const from = vectorOffset(b, token, 0, tokens, this.#kvHeads, this.#d);
        const to = Math.floor((token - this.#sink) / this.#block) * width;
        for (let i = 0; i < width; i++) sums[to + i]! += x[from + i]!;
      }
      if (work) work.keysTouched += this.#kvHeads * (tokens - this.#tokens);
    });
    this.#tokens = tokens;
    this.#filled[0] = Math.floor((tokens - this.#sink) / this.#block);
  }

  /** Forgets the tokens from `tokens` on. The next {@link extend} reads those of a block that was cut again. */
  truncate(tokens: number): void {
    if (tokens >= this.#tokens) return;
    const whole = Math.max(0, Math.floor((tokens - this.#sink) / this.#block));
    for (const levels of this.#levels) levels[0]!.fill(0, whole * this.#kvHeads * this.#d);
    this.#filled.forEach((filled, level) => (this.#filled[level] = Math.min(filled, Math.floor(whole / 2 ** level))));
    this.#tokens = this.#sink + whole * this.#block;
  }

  /**
   * Writes the mean of a block's vectors to out [d].
   *
   * @param start sink + a multiple of `size`
   * @param size block·2^m, all of it taken in
   */
  mean(out: Float64Array, batch: number, kvHead: number, start: number, size: number): void {
    const level = Math.round(Math.log2(size / this.#block));
    const index = (start - this.#sink) / size;
    this.#fill(level, index + 1);
    const sums = this.#levels[batch]![level]!;
    const at = (index * this.#kvHeads + kvHead) * this.#d;
    for (let i = 0; i < this.#d; i++) out[i] = sums[at + i]! / size;
  }

  /** Adds halves up until a level holds `blocks` blocks. */
  #fill(level: number, blocks: number): void {
    const filled = this.#filled[level] ?? 0;
    if (level === 0 || filled >= blocks) return;
    this.#fill(level - 1, 2 * blocks);
    const width = this.#kvHeads * this.#d;
    this.#levels.forEach((levels, b) => {
      const halves = levels[level - 1]!;
      const sums = this.#room(b, level, blocks);
      for (let block = filled; block < blocks; block++)
        for (let i = 0; i < width; i++)
          sums[block * width + i] = halves[2 * block * width + i]! + halves[(2 * block + 1) * width + i]!;
    });
    this.#filled[level] = blocks;
  }

  #room(batch: number, level: number, blocks: number): Float64Array {
    const levels = this.#levels[batch]!;
    const old = levels[level] ?? new Float64Array();
    const length = blocks * this.#kvHeads * this.#d;
    if (old.length >= length) return old;
    // Half as much again, so that growing one block at a time copies each number O(1) times.
    const grown = new Float64Array(Math.max(length, Math.ceil(old.length * 1.5)));
    grown.set(old);
    this.#meter?.hold(grown.length - old.length);
    return (levels[level] = grown);
  }
}

/** The means of a remainder's blocks: of keys, as they are multiplied, and of values. */
export interface BlockMeans {
  readonly keys: BlockSums;
  readonly values: BlockSums;
}

/** The statistics of a whole call's keys and values. */
export function blockMeansOf(
  k: FloatArray,
  v: FloatArray,
  shape: AttentionShape,
  { sink, block }: { readonly sink: number; readonly block: number },
  work?: WorkCount,
): BlockMeans {
  const meter = work && new MemoryMeter(work);
  const means = { keys: new BlockSums(shape, sink, block, meter), values: new BlockSums(shape, sink, block, meter) };
  means.keys.extend(k, shape.keys, work);
  means.values.extend(v, shape.keys);
  return means;
}
