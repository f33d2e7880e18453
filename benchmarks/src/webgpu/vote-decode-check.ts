// Checks of decoding with a vote for a real device: the first step's mask and every step's output against float64.
import {
  emptyTensor,
  GpuCall,
  GpuDecodeSession,
  KvCache,
  KvPool,
  readMask,
  readTensor,
  uploadTensor,
  type GpuContext,
} from '@hip/kernels-webgpu';
import { blockSparseAttention, resolveConfig, searchBlockMask, VOTE_CONFIG, type HipConfig } from '@hip/mask-search';
import { difference } from './search-check.ts';

/** Roughly normal numbers by seed. */
type Normals = (length: number, seed: number) => Float32Array;

/** Rows `{check, type, step, …, ok}`. */
export async function voteDecodeChecks(
  context: GpuContext,
  normals: Normals,
  add: (row: Record<string, unknown>) => void,
): Promise<void> {
  const [heads, kvHeads, headDim, tokens, steps] = [4, 2, 128, 6000, 3];
  const configs: Record<string, HipConfig> = {
    vote: VOTE_CONFIG,
    'vote, budgets by head, an exact tail': resolveConfig({
      ...VOTE_CONFIG,
      kPerHead: [448, 0, 64, 320],
      remainder: { block: 64, most: 8, tail: 'exact' },
    }),
  };
  const length = tokens + steps;
  const [k, v] = [normals(length * kvHeads * headDim, 5), normals(length * kvHeads * headDim, 6)];
  const token = kvHeads * headDim;
  for (const [name, config] of Object.entries(configs))
    for (const type of ['f32', 'f16'] as const)
      for (const paged of [false, true]) {
        const pool = new KvPool(context, { kvHeads, headDim, type, tokens: 2 * length, pageTokens: 64 });
        const cache = new KvCache(pool, { maxTokens: length + 64 });
        const other = new KvCache(pool, { maxTokens: length });
        const part = (values: Float32Array, from: number, to: number): ReturnType<typeof uploadTensor> =>
          uploadTensor(context, values.subarray(from * token, to * token), type);
        const append = (to: KvCache, from: number, end: number): void => {
          const call = new GpuCall(context);
          to.append(call, part(k, from, end), part(v, from, end), end - from);
          call.submit();
        };
        append(cache, 0, 1000);
        if (paged) append(other, 0, 100);
        append(cache, 1000, tokens);
        const session = new GpuDecodeSession(cache, { heads, config });
        for (let step = 0; step < steps; step++) {
          const keys = tokens + step + 1;
          const q = normals(heads * headDim, 7 + step);
          const out = emptyTensor({ context, type, length: heads * headDim });
          session.step({
            q: uploadTensor(context, q, type),
            k: part(k, keys - 1, keys),
            v: part(v, keys - 1, keys),
            out,
          });
          const mask = await readMask(context, session.mask);
          const actual = await readTensor(context, out);
          const shape = { batch: 1, queries: 1, keys, heads, kvHeads, headDim };
          const [ks, vs] = [k.subarray(0, keys * token), v.subarray(0, keys * token)];
          const share = step === 0 ? difference(searchBlockMask(q, ks, shape, config), mask) : undefined;
          const held = { ...mask, keys, window: config.window + step };
          const wanted = blockSparseAttention(q, ks, vs, shape, held);
          const error = wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - actual[i]!)), 0);
          const ok = (share ?? 0) <= 0.001 && error < 4e-3;
          add({ check: `decode, ${name}`, type, paged, step, difference: share, error, ok });
        }
        session.destroy();
        cache.dispose();
        other.dispose();
        pool.destroy();
      }
}
