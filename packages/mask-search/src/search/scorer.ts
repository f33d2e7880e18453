// Scores of one query block against keys: sampled or averaged rows, all heads that share the mask. The search's only contact with q and k.
import type { AttentionShape } from '../block-mask.ts';
import type { HipConfig } from '../config.ts';
import { vectorOffset } from '../attention/dense.ts';
import { positionOf, type FloatArray } from '../inputs.ts';
import { rowGroups, type QueryBlock } from './geometry.ts';

/** Work done by a search, for the complexity claims. */
export interface WorkCount {
  /** Query-key dot products of length headDim (a bound counts as two). */
  dotProducts: number;
  /** Key vectors (or chunk summaries) read, once per query block and head. */
  keysTouched: number;
}

interface ScoredRow {
  readonly head: number;
  readonly vector: Float64Array;
  /** Position that decides which keys this row sees. */
  readonly position: number;
}

/** Elementwise largest and smallest key of each chunk, [B, Hkv, chunks, d]. */
export interface Envelope {
  readonly chunk: number;
  readonly chunks: number;
  readonly max: Float64Array;
  readonly min: Float64Array;
}

/** Summarises the keys from `sink` on, `chunk` at a time. Cost O(B·Tk·Hkv·d), once per call. */
export function keyEnvelope(k: FloatArray, shape: AttentionShape, sink: number, chunk: number): Envelope {
  const { batch, keys, kvHeads, headDim: d } = shape;
  const chunks = Math.max(0, Math.ceil((keys - sink) / chunk));
  const max = new Float64Array(batch * kvHeads * chunks * d).fill(-Infinity);
  const min = new Float64Array(batch * kvHeads * chunks * d).fill(Infinity);
  for (let b = 0; b < batch; b++) {
    for (let key = sink; key < keys; key++) {
      for (let h = 0; h < kvHeads; h++) {
        const from = vectorOffset(b, key, h, keys, kvHeads, d);
        const to = ((b * kvHeads + h) * chunks + Math.floor((key - sink) / chunk)) * d;
        for (let i = 0; i < d; i++) {
          const value = k[from + i]!;
          if (value > max[to + i]!) max[to + i] = value;
          if (value < min[to + i]!) min[to + i] = value;
        }
      }
    }
  }
  return { chunk, chunks, max, min };
}

/** Scores candidates for one (batch, mask head, query block). */
export class BlockScorer {
  readonly #k: FloatArray;
  readonly #shape: AttentionShape;
  readonly #causal: boolean;
  readonly #batch: number;
  readonly #rows: readonly ScoredRow[];
  readonly #group: number;
  readonly #work: WorkCount;

  constructor(
    q: FloatArray,
    k: FloatArray,
    shape: AttentionShape,
    config: Pick<HipConfig, 'causal'>,
    work: WorkCount,
    { batch, heads, block, strideQ, rows }: { batch: number; heads: readonly number[]; block: QueryBlock; strideQ: number; rows: 'max' | 'mean' },
  ) {
    const d = shape.headDim;
    this.#k = k;
    this.#shape = shape;
    this.#causal = config.causal;
    this.#batch = batch;
    this.#group = shape.heads / shape.kvHeads;
    this.#work = work;
    this.#rows = heads.flatMap((head) =>
      rowGroups(block, strideQ).map(({ firstRow, endRow }) => {
        const vector = new Float64Array(d);
        const from = rows === 'mean' ? firstRow : endRow - 1;
        for (let row = from; row < endRow; row++) {
          const at = vectorOffset(batch, row, head, shape.queries, shape.heads, d);
          for (let i = 0; i < d; i++) vector[i]! += q[at + i]!;
        }
        for (let i = 0; i < d; i++) vector[i]! /= endRow - from;
        return { head, vector, position: positionOf(endRow - 1, shape) };
      }),
    );
  }

  /** Largest q·k over the scored rows; −Infinity where no row sees the key or it does not exist. */
  key(key: number): number {
    const { keys, kvHeads, headDim: d } = this.#shape;
    if (key >= keys) return -Infinity;
    this.#work.keysTouched++;
    let best = -Infinity;
    for (const { head, vector, position } of this.#rows) {
      if (this.#causal && key > position) continue;
      const at = vectorOffset(this.#batch, key, Math.floor(head / this.#group), keys, kvHeads, d);
      let sum = 0;
      for (let i = 0; i < d; i++) sum += vector[i]! * this.#k[at + i]!;
      this.#work.dotProducts++;
      if (sum > best) best = sum;
    }
    return best;
  }

  /** Largest score any key inside the chunk's envelope could have: Σ max(qᵢ·maxᵢ, qᵢ·minᵢ), over the scored rows. */
  bound(envelope: Envelope, chunk: number): number {
    const { kvHeads, headDim: d } = this.#shape;
    this.#work.keysTouched += 2;
    let best = -Infinity;
    for (const { head, vector } of this.#rows) {
      const at = ((this.#batch * kvHeads + Math.floor(head / this.#group)) * envelope.chunks + chunk) * d;
      let sum = 0;
      for (let i = 0; i < d; i++) {
        const value = vector[i]!;
        sum += value * (value > 0 ? envelope.max[at + i]! : envelope.min[at + i]!);
      }
      this.#work.dotProducts += 2;
      if (sum > best) best = sum;
    }
    return best;
  }
}
