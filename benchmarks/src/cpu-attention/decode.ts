// Decode out of a cache, a row a token: at 128K tokens, two groups of four query heads, and at 8K as in SmolLM2, three groups of three.
import type { CpuRuntime } from '@hip/kernels-cpu';
import { median, type BenchmarkOptions } from '../benchmark.ts';
import { normals } from '@hip/playground/measure';

const HEAD_DIM = 64;
/** Tokens that the default's first stage serves for. */
const CYCLE = 8;

/** Milliseconds, the median. */
function time(work: () => unknown, repeats: number): number {
  for (let i = 0; i < 5; i++) work();
  const ms: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    work();
    ms.push(performance.now() - start);
  }
  return median(ms);
}

export async function decode(
  cpu: CpuRuntime,
  { quick, log, signal }: BenchmarkOptions,
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const sizes = [
    { tokens: quick ? 16_384 : 131_072, heads: 8, kvHeads: 2 },
    { tokens: 8192, heads: 9, kvHeads: 3 },
  ];
  for (const { tokens, heads, kvHeads } of sizes) {
    for (const type of ['f32', 'f16'] as const) {
      signal.throwIfAborted();
      using cache = cpu.createCache({ heads, kvHeads, headDim: HEAD_DIM, type });
      const size = kvHeads * HEAD_DIM;
      cache.append(normals(tokens * size, 1), normals(tokens * size, 2));
      const q = normals(heads * HEAD_DIM, 3);
      const [k, v] = [normals(size, 4), normals(size, 5)];
      const denseMs = time(() => cache.attendDense(q), 15);
      const searchMs = time(() => cache.decode(q, { refresh: true }), 31);
      const cachedMs = time(() => cache.decode(q), 101);
      const appendMs = time(() => cache.append(k, v), 101);
      // What a token of a model costs: it is appended, and the stages that are due run.
      const cycleMs = time(() => {
        for (let i = 0; i < CYCLE; i++) {
          cache.append(k, v);
          cache.decode(q);
        }
      }, 21);
      const stepMs = cycleMs / CYCLE;
      log(
        `decode ${tokens} ${type}: dense ${denseMs.toFixed(2)}, search ${searchMs.toFixed(2)}, a step of a refresh cycle ${stepMs.toFixed(3)} ms`,
      );
      rows.push({
        part: 'decode',
        tokens,
        heads,
        kvHeads,
        headDim: HEAD_DIM,
        cache: type,
        cacheBytes: cache.bytes,
        denseMs,
        searchAndAttendMs: searchMs,
        cachedMaskMs: cachedMs,
        cachedMaskMsPerHeadGroup: cachedMs / kvHeads,
        appendMs,
        stepMs,
        timesFasterThanDense: denseMs / stepMs,
      });
    }
  }
  return rows;
}
