// Exact attention of the newest token, over everything held or its last keys.
import { ROW_LANES, rowLayout } from '../plan/layout.ts';
import { alignBytes, Scope } from './heap.ts';
import type { Call } from './part.ts';

/** Where a partial result's flag is: assembly/attention/row.ts. */
const FLAG = 32;

/**
 * Attention of one row with its last `window` keys.
 *
 * @param read puts q [B, 1, H, d] at an address
 * @param write takes the output from an address
 * @returns query heads of [B, H] whose keys, values or queries are not finite, or whose numbers grow beyond float32: their outputs are
 *   to be made by `careful` kernels
 */
export function attendRow(
  { engine, store, shape, scale, softcap }: Call,
  window: number,
  read: (at: number) => void,
  write: (at: number) => void,
): readonly number[] {
  const { batch, heads, kvHeads, headDim, keys } = shape;
  const start = performance.now();
  const group = heads / kvHeads;
  const seen = Math.min(window, keys);
  const { parts, cells, run, splits, partial, stride } = rowLayout(shape, seen);
  const row = alignBytes(batch * heads * headDim * 4);
  using scope = new Scope(engine.heap);
  const q = scope.allocate(2 * row + stride * engine.threads + cells * splits * partial);
  const partials = q + 2 * row + stride * engine.threads;
  read(q);
  const job = engine.job(scope, {
    ...store.fields(0),
    BATCH: batch,
    HEADS: heads,
    SCALE: scale ?? 1 / Math.sqrt(headDim),
    SOFTCAP: softcap ?? 0,
    FIRST_TOKEN: keys - seen,
    TOKENS: run,
    SPLITS: splits,
    Q: q,
    OUT: q + row,
    SCRATCH: q + 2 * row,
    SCRATCH_STRIDE: stride,
    PARTIALS: partials,
    ITEMS: cells * splits,
  });
  engine.runShort('rowAttention', job, cells * splits);
  engine.set(job, { NEXT: 0, ITEMS: cells });
  engine.runHere('joinRow', job);
  write(q + row);
  const flagged: number[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const lanes = engine.heap.ints(partials + cell * splits * partial + FLAG, 1)[0]!;
    const part = (cell % parts) * ROW_LANES;
    for (let h = 0; h < Math.min(ROW_LANES, group - part); h++)
      if ((lanes >> h) & 1) flagged.push(Math.floor(cell / parts) * group + part + h);
  }
  engine.times.attention += performance.now() - start;
  return flagged;
}
