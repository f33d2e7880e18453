// Gradients of attention over a mask: the forward pass once more for each row's log-sum-exp, then the backward kernel.
import type { BlockMask } from '@hip/mask-search';
import { gradientScratch, meansBytes, ROWS } from '../plan/layout.ts';
import { updateMeans } from './attend.ts';
import { maskFields, type Call } from './part.ts';
import { Scope } from './heap.ts';

/** Gradients with respect to q [B, Tq, H, d], k and v [B, Tk, Hkv, d]. */
export interface Gradients {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Writes the gradients into `out`. */
export function attentionGradient(
  { engine, store, shape, scale, softcap }: Call,
  q: Float32Array,
  gradient: Float32Array,
  mask: BlockMask,
  out: Gradients,
): void {
  const { batch, queries, heads, kvHeads, headDim } = shape;
  const { heap } = engine;
  const { sink, remainder } = mask;
  updateMeans({ store, engine }, mask);
  using scope = new Scope(heap);
  const stride = gradientScratch(headDim);
  const at = {
    Q: scope.allocate(q.byteLength),
    OUT: scope.allocate(q.byteLength),
    LSE: scope.allocate(batch * heads * queries * 4),
    STARTS: scope.allocate(mask.starts.byteLength),
    COUNTS: scope.allocate(mask.counts.byteLength),
    SCRATCH: scope.allocate(stride * engine.threads),
  };
  const grad = {
    GRAD_OUT: scope.allocate(q.byteLength),
    GRAD_Q: scope.allocate(q.byteLength),
    GRAD_K: scope.allocate(out.k.byteLength),
    GRAD_V: scope.allocate(out.v.byteLength),
  };
  const means = remainder && store.means.fields(sink, remainder, 0);
  const meansLength = meansBytes(shape, means?.MEANS_ROOM ?? 0) / 4;
  const GRAD_MEANS = meansLength > 0 ? scope.allocate(meansLength * 4) : 0;
  heap.floats(GRAD_MEANS, meansLength).fill(0);
  heap.floats(at.Q, q.length).set(q);
  heap.floats(grad.GRAD_OUT, q.length).set(gradient);
  heap.floats(grad.GRAD_K, out.k.length).fill(0);
  heap.floats(grad.GRAD_V, out.v.length).fill(0);
  heap.ints(at.STARTS, mask.starts.length).set(mask.starts);
  heap.ints(at.COUNTS, mask.counts.length).set(mask.counts);
  const job = engine.job(scope, {
    ...store.fields(0),
    ...maskFields(mask),
    ...means,
    ...at,
    BATCH: batch,
    QUERIES: queries,
    HEADS: heads,
    POSITION: shape.keys - queries,
    SCALE: scale ?? 1 / Math.sqrt(headDim),
    SOFTCAP: softcap ?? 0,
    SPLITS: 1,
    SCRATCH_STRIDE: stride,
  });
  const start = performance.now();
  engine.run('sparseAttention', job, batch * heads * mask.queryBlocks * Math.ceil(mask.blockQ / ROWS));
  engine.set(job, { ...grad, GRAD_MEANS });
  engine.run('sparseGradient', job, batch * kvHeads);
  engine.times.attention += performance.now() - start;
  out.q.set(heap.floats(grad.GRAD_Q, q.length));
  out.k.set(heap.floats(grad.GRAD_K, out.k.length));
  out.v.set(heap.floats(grad.GRAD_V, out.v.length));
}
