// Decode at 128K tokens out of a cache: one row, two groups of four query heads.
import type { CpuRuntime } from '@hip/kernels-cpu';
import { median, type BenchmarkOptions } from '../benchmark.ts';
import { normals } from './inputs.ts';

const HEADS = 8;
const KV_HEADS = 2;
const HEAD_DIM = 64;

export async function decode(
  cpu: CpuRuntime,
  { quick, log, signal }: BenchmarkOptions,
): Promise<Record<string, unknown>[]> {
  const tokens = quick ? 16_384 : 131_072;
  const rows: Record<string, unknown>[] = [];
  for (const type of ['f32', 'f16'] as const) {
    signal.throwIfAborted();
    using cache = cpu.createCache({ heads: HEADS, kvHeads: KV_HEADS, headDim: HEAD_DIM, type });
    const size = KV_HEADS * HEAD_DIM;
    cache.append(normals(tokens * size, 1), normals(tokens * size, 2));
    const q = normals(HEADS * HEAD_DIM, 3);
    const time = (work: () => unknown, repeats: number): number => {
      for (let i = 0; i < 5; i++) work();
      const ms: number[] = [];
      for (let i = 0; i < repeats; i++) {
        const start = performance.now();
        work();
        ms.push(performance.now() - start);
      }
      return median(ms);
    };
    const denseMs = time(() => cache.attendDense(q), 15);
    const searchMs = time(() => cache.decode(q, { refresh: true }), 31);
    const cachedMs = time(() => cache.decode(q), 101);
    const [k, v] = [normals(size, 4), normals(size, 5)];
    const appendMs = time(() => cache.append(k, v), 101);
    log(
      `decode ${tokens} ${type}: dense ${denseMs.toFixed(2)}, search ${searchMs.toFixed(2)}, cached mask ${cachedMs.toFixed(3)} ms`,
    );
    rows.push({
      part: 'decode',
      tokens,
      heads: HEADS,
      kvHeads: KV_HEADS,
      headDim: HEAD_DIM,
      cache: type,
      cacheBytes: cache.bytes,
      denseMs,
      searchAndAttendMs: searchMs,
      cachedMaskMs: cachedMs,
      cachedMaskMsPerHeadGroup: cachedMs / KV_HEADS,
      appendMs,
      timesFasterThanDense: denseMs / cachedMs,
    });
  }
  return rows;
}
