// Scores of one query block against keys: sampled or averaged rows, all heads that share the mask. The search's only contact with q and k.
import type { AttentionShape } from '../block-mask.ts';
import { vectorOffset } from '../attention/score.ts';
import type { FloatArray, PositionOf } from '../inputs.ts';
import type { WorkCount } from '../work.ts';
import { channelsOf, dotOf, type Channels } from './channels.ts';
import type { KeySummary } from './envelope.ts';
import { rowGroups, type QueryBlock } from './geometry.ts';

interface ScoredRow {
  readonly kvHead: number;
  readonly vector: Float64Array;
  /** Position that decides which keys this row sees. */
  readonly position: number;
}

/** What a scorer reads. */
export interface ScorerInputs {
  /** [B, Tq, H, d]. */
  readonly q: FloatArray;
  /** [B, Tk, Hkv, d]. */
  readonly k: FloatArray;
  readonly shape: AttentionShape;
  readonly causal: boolean;
  readonly position: PositionOf;
  readonly work: WorkCount;
}

/** Which rows of which heads it scores, and how. */
export interface ScoredRows {
  readonly batch: number;
  readonly heads: readonly number[];
  readonly block: QueryBlock;
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  /** Channels that {@link BlockScorer.key} multiplies. @defaultValue 'all' */
  readonly dims?: 'all' | 'slow-half' | undefined;
}

/** Scores candidates for one (batch, mask head, query block). Memory heads·(blockQ / strideQ)·d numbers. */
export class BlockScorer {
  readonly #inputs: ScorerInputs;
  readonly #batch: number;
  readonly #rows: readonly ScoredRow[];
  readonly #kvHeads: number;
  readonly #channels: Channels;
  readonly #part: number;

  constructor(inputs: ScorerInputs, { batch, heads, block, strideQ, rows, dims }: ScoredRows) {
    const { q, shape, position } = inputs;
    this.#inputs = inputs;
    this.#batch = batch;
    this.#rows = heads.flatMap((head) =>
      rowGroups(block, strideQ).map(({ firstRow, endRow }) => ({
        kvHead: Math.floor(head / (shape.heads / shape.kvHeads)),
        vector: meanOfRows(q, shape, batch, head, rows === 'mean' ? firstRow : endRow - 1, endRow),
        position: position(endRow - 1),
      })),
    );
    this.#channels = channelsOf(shape.headDim, dims);
    this.#part = dims === 'slow-half' ? 0.5 : 1;
    this.#kvHeads = new Set(this.#rows.map(({ kvHead }) => kvHead)).size;
  }

  /** Numbers it holds. */
  get size(): number {
    return this.#rows.length * this.#inputs.shape.headDim;
  }

  /** Largest q·k over the scored rows; −Infinity where no row sees the key or it does not exist. Cost O(rows·d). */
  key(key: number): number {
    const { k, shape, causal, work } = this.#inputs;
    const { keys, kvHeads, headDim: d } = shape;
    if (key >= keys) return -Infinity;
    work.keysTouched += this.#kvHeads;
    let best = -Infinity;
    for (const { kvHead, vector, position } of this.#rows) {
      if (causal && key > position) continue;
      const score = dotOf(vector, 0, k, vectorOffset(this.#batch, key, kvHead, keys, kvHeads, d), this.#channels);
      work.dotProducts += this.#part;
      if (score > best) best = score;
    }
    return best;
  }

  /** Largest score of the chunk's summary over the scored rows: no key of an envelope has a larger one. Cost O(rows·d). */
  summary(summary: KeySummary, chunk: number): number {
    const { work } = this.#inputs;
    work.keysTouched += 2 * this.#kvHeads;
    let best = -Infinity;
    for (const { kvHead, vector } of this.#rows) {
      best = Math.max(best, summary.score(vector, this.#batch, kvHead, chunk));
      work.dotProducts += 2;
    }
    return best;
  }
}

/** Mean of q's rows [from, to) of one head. */
function meanOfRows(
  q: FloatArray,
  shape: AttentionShape,
  batch: number,
  head: number,
  from: number,
  to: number,
): Float64Array {
  const { queries, heads, headDim: d } = shape;
  const mean = new Float64Array(d);
  for (let row = from; row < to; row++) {
    const at = vectorOffset(batch, row, head, queries, heads, d);
    for (let i = 0; i < d; i++) mean[i]! += q[at + i]!;
  }
  for (let i = 0; i < d; i++) mean[i]! /= to - from;
  return mean;
}
