// The vote of a query block (docs/specification/hip.md §8): every row gives each candidate block its probability mass.
import type { MassStage } from '../config/stages.ts';
import { vectorOffset } from '../attention/score.ts';
import { visibleKeys } from '../inputs.ts';
import { channelsOf, dotOf } from './channels.ts';
import type { QueryBlock } from './geometry.ts';
import type { ScorerInputs } from './scorer.ts';

/** What the vote reads besides a scorer's inputs. */
export interface VoteInputs extends ScorerInputs {
  /** Raw dot product → logit: scale and soft-cap. */
  readonly logit: (dot: number) => number;
  /** First keys, and keys up to its own, that a row sees whatever is chosen. */
  readonly config: { readonly sink: number; readonly window: number };
}

/** Who votes on what. */
export interface Ballot {
  readonly batch: number;
  /** Heads that share the mask: their masses are added. */
  readonly heads: readonly number[];
  readonly block: QueryBlock;
  /** First key of each candidate block, ascending. */
  readonly starts: readonly number[];
  /** Keys of a block. */
  readonly chunk: number;
  readonly dims: MassStage['dims'];
}

/**
 * The mass of each candidate block: Σ over rows Σ over its keys below the row's window of the key's probability, normalised over the
 * sinks, the candidates below the window and the window, each key once. Rows that see nothing do not vote.
 * Cost O(heads·rows·(candidates + window + sink)·d) time, as many numbers as one row has keys.
 */
export function blockMasses(inputs: VoteInputs, ballot: Ballot): Float64Array {
  const { q, k, shape, causal, position, work, logit, config } = inputs;
  const { batch, heads, block, starts, chunk, dims } = ballot;
  const { queries, keys, kvHeads, headDim: d } = shape;
  const group = shape.heads / kvHeads;
  const channels = channelsOf(d, dims);
  const part = dims === 'slow-half' ? 0.5 : 1;
  const masses = new Float64Array(starts.length);
  const logits = new Float64Array(mostKeys(inputs, ballot));
  const seen = { from: keys, to: 0 };
  for (const head of heads) {
    for (let row = block.firstRow; row < block.firstRow + block.rows; row++) {
      const visible = visibleKeys(position(row), keys, causal);
      if (visible === 0) continue;
      const windowStart = Math.max(0, visible - config.window);
      const at = vectorOffset(batch, row, head, queries, shape.heads, d);
      let [count, max] = [0, -Infinity];
      const read = (from: number, to: number): void => {
        for (let key = from; key < to; key++) {
          const s = logit(
            dotOf(q, at, k, vectorOffset(batch, key, Math.floor(head / group), keys, kvHeads, d), channels),
          );
          logits[count++] = s;
          if (s > max) max = s;
        }
      };
      for (const start of starts) read(start, Math.min(start + chunk, windowStart));
      read(0, Math.min(config.sink, windowStart));
      read(windowStart, visible);
      [seen.from, seen.to] = [Math.min(seen.from, windowStart), Math.max(seen.to, visible)];
      work.dotProducts += part * count;
      let sum = 0;
      for (let i = 0; i < count; i++) sum += logits[i] = Math.exp(logits[i]! - max);
      let i = 0;
      starts.forEach((start, candidate) => {
        for (let key = start; key < Math.min(start + chunk, windowStart); key++)
          masses[candidate]! += logits[i++]! / sum;
      });
    }
  }
  const below = starts.reduce((sum, start) => sum + Math.max(0, Math.min(start + chunk, seen.from) - start), 0);
  const kvHeadsRead = new Set(heads.map((head) => Math.floor(head / group))).size;
  work.keysTouched += kvHeadsRead * (below + Math.min(config.sink, seen.from) + Math.max(0, seen.to - seen.from));
  return masses;
}

/** Keys that a row's vote is normalised over, at most: the numbers a vote holds besides the masses. */
export function mostKeys({ shape, config }: VoteInputs, { starts, chunk }: Pick<Ballot, 'starts' | 'chunk'>): number {
  return Math.min(shape.keys, starts.length * chunk + config.sink + config.window);
}
