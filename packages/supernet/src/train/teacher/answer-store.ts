// Where a teacher's answers are kept: float16, on the GPU where the training is, in host memory elsewhere.
import { floatsToHalves, halvesToFloats } from '@hip/checkpoints/platform';
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../../errors.ts';
import { trimUnusedBuffers } from '../../webgpu/pool.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { HALF_SCALE, halfSlab, halfWords, largestSlab, packHalves, unpackHalves } from '../../webgpu/half-slab.ts';
import type { Pairs } from '../../webgpu/half-slab.ts';

/** What is kept of one example: rows of probabilities. */
export interface Answer {
  /** Numbers of all rows, and of one. */
  readonly width: number;
  readonly columns: number;
  /** Kept beyond `release`. */
  readonly stays: boolean;
}

/** Probabilities, kept at half the size. */
export interface AnswerStore {
  /** Bytes that are taken. */
  readonly bytes: number;
  /** Keeps some blocks of `width` numbers; those beyond the limit until `release`. */
  keep(numbers: tf.Tensor2D, blocks: readonly number[], width: number): Answer[];
  /** The rows of answers of one width, one after the other [rows, columns]. The caller disposes. */
  collect(answers: readonly Answer[]): tf.Tensor2D;
  /** Forgets the blocks that did not fit. */
  release(): void;
  dispose(): void;
}

/** A store on the current backend. */
export function createAnswerStore(maxBytes: number): AnswerStore {
  return onWebGpu() ? new GpuAnswers(maxBytes) : new HostAnswers(maxBytes);
}

interface HostAnswer extends Answer {
  /** float16. */
  readonly halves: Uint8Array<ArrayBuffer>;
}

class HostAnswers implements AnswerStore {
  bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  keep(numbers: tf.Tensor2D, blocks: readonly number[], width: number): HostAnswer[] {
    const all = numbers.dataSync() as Float32Array;
    const columns = numbers.shape[1];
    return blocks.map((block) => {
      const scaled = all.subarray(block * width, (block + 1) * width).map((value) => value * HALF_SCALE);
      const halves = floatsToHalves(scaled);
      const stays = this.bytes + halves.byteLength <= this.#maxBytes;
      if (stays) this.bytes += halves.byteLength;
      return { width, columns, halves, stays };
    });
  }

  collect(answers: readonly HostAnswer[]): tf.Tensor2D {
    const { width, columns } = answers[0] as HostAnswer;
    const numbers = new Float32Array(answers.length * width);
    for (const [index, { halves }] of answers.entries()) {
      const scaled = halvesToFloats(halves.buffer, 0, width);
      for (let i = 0; i < width; i++) numbers[index * width + i] = (scaled[i] as number) / HALF_SCALE;
    }
    return tf.tensor2d(numbers, [numbers.length / columns, columns]);
  }

  release(): void {}

  dispose(): void {
    this.bytes = 0;
  }
}

interface Slab {
  readonly tensor: tf.Tensor1D;
  readonly slots: number;
  used: number;
}

interface GpuAnswer extends Answer {
  readonly slab: Slab;
  readonly slot: number;
}

/** The first slab of a width, and the largest: fewer slabs are fewer dispatches a batch. */
const FIRST_BYTES = 2 ** 20;
const MOST_BYTES = 2 ** 30;

class GpuAnswers implements AnswerStore {
  bytes = 0;
  readonly #maxBytes: number;
  /** By the width of their blocks. */
  readonly #slabs = new Map<number, Slab[]>();
  readonly #passing: Slab[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  keep(numbers: tf.Tensor2D, blocks: readonly number[], width: number): GpuAnswer[] {
    const kept: GpuAnswer[] = [];
    while (kept.length < blocks.length) {
      const open = this.#openSlab(width);
      const slab = open ?? this.#passingSlab(blocks.length - kept.length, width);
      for (; slab.used < slab.slots && kept.length < blocks.length; slab.used++) {
        kept.push({ width, columns: numbers.shape[1], slab, slot: slab.used, stays: open !== undefined });
      }
    }
    const placed = kept.map((answer, index) => [blocks[index] as number, answer] as const);
    eachSlab(placed, (slab, pairs) => packHalves(slab.tensor, numbers, width, pairs));
    return kept;
  }

  collect(answers: readonly GpuAnswer[]): tf.Tensor2D {
    const { width, columns } = answers[0] as GpuAnswer;
    const target = tf.fill<tf.Rank.R2>([(answers.length * width) / columns, columns], 0);
    const order = new Map([...new Set(answers.map(({ slab }) => slab))].map((slab, index) => [slab, index]));
    const sorted = [...answers.entries()].sort(([, a], [, b]) => order.get(a.slab)! - order.get(b.slab)!);
    eachSlab(sorted, (slab, pairs) => unpackHalves(slab.tensor, target, width, pairs));
    return target;
  }

  release(): void {
    for (const { tensor } of this.#passing.splice(0)) tensor.dispose();
  }

  dispose(): void {
    this.release();
    for (const slabs of this.#slabs.values()) for (const { tensor } of slabs) tensor.dispose();
    this.#slabs.clear();
    this.bytes = 0;
    trimUnusedBuffers();
  }

  /** A slab with a free slot, unless the limit is reached. */
  #openSlab(width: number): Slab | undefined {
    const slabs = this.#slabs.get(width) ?? [];
    this.#slabs.set(width, slabs);
    const last = slabs.at(-1);
    if (last && last.used < last.slots) return last;
    const block = 4 * halfWords(width);
    const wanted = Math.min(MOST_BYTES, largestSlab(), FIRST_BYTES * 2 ** slabs.length);
    const bytes = Math.min(Math.max(wanted, block), this.#maxBytes - this.bytes, largestSlab());
    const slots = Math.floor(bytes / block);
    if (slots < 1) return undefined;
    const slab = { tensor: halfSlab(slots, width), slots, used: 0 };
    this.bytes += slots * block;
    slabs.push(slab);
    return slab;
  }

  #passingSlab(slots: number, width: number): Slab {
    const most = Math.floor(largestSlab() / (4 * halfWords(width)));
    if (most < 1) {
      throw new SupernetError('unsupported', `an answer of ${width} numbers is more than a buffer holds here`, {
        width,
      });
    }
    const slab = { tensor: halfSlab(Math.min(slots, most), width), slots: Math.min(slots, most), used: 0 };
    this.#passing.push(slab);
    return slab;
  }
}

/** Runs a dispatch for each run of answers in one slab, with pairs (block, slot) of each. */
function eachSlab(answers: readonly (readonly [number, GpuAnswer])[], run: (slab: Slab, pairs: Pairs) => void): void {
  const list = tf.tensor2d(
    Int32Array.from(answers.flatMap(([block, { slot }]) => [block, slot])),
    [answers.length, 2],
    'int32',
  );
  let first = 0;
  for (let end = 1; end <= answers.length; end++) {
    const [, { slab }] = answers[first] as readonly [number, GpuAnswer];
    if (answers[end]?.[1].slab === slab) continue;
    run(slab, { list, first, count: end - first });
    first = end;
  }
  list.dispose();
}
