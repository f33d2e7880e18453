// Matrix products on the kernels' threads.
import { HipError } from '@hip/mask-search';
import { GEMM_PANELS, GEMM_ROWS, GEMM_STRIPE } from '../plan/layout.ts';
import { checkTensor } from './check.ts';
import type { Engine } from './engine.ts';
import { alignBytes, Scope } from './heap.ts';

/** Options of {@link CpuRuntime.matmul}. */
export interface MatmulOptions {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** @defaultValue 1 */
  readonly batch?: number | undefined;
  /** b is one matrix for all batches. @defaultValue false */
  readonly sharedB?: boolean | undefined;
  /** a is stored [k, m]. @defaultValue false */
  readonly transposeA?: boolean | undefined;
  /** b is stored [n, k]. @defaultValue false */
  readonly transposeB?: boolean | undefined;
  /** [n], added to every row. */
  readonly bias?: Float32Array | undefined;
  /** Where the result goes. @defaultValue a new array */
  readonly out?: Float32Array | undefined;
}

/** c [batch, m, n] = a [batch, m, k] · b [batch, k, n] (+ bias). */
export function matmul(
  engine: Engine,
  a: Float32Array,
  b: Float32Array,
  { m, n, k, batch = 1, sharedB = false, transposeA = false, transposeB = false, bias, ...options }: MatmulOptions,
): Float32Array {
  for (const [name, value] of Object.entries({ m, n, k, batch })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
  }
  checkTensor('a', a, batch * m * k);
  checkTensor('b', b, (sharedB ? 1 : batch) * k * n);
  const out = options.out ?? new Float32Array(batch * m * n);
  checkTensor('out', out, batch * m * n);
  if (bias) checkTensor('bias', bias, n);
  const { heap } = engine;
  using scope = new Scope(heap);
  const panels = Math.ceil(n / 8);
  const matrices = sharedB ? 1 : batch;
  const [aAt, bAt, cAt] = [scope.allocate(a.byteLength), scope.allocate(b.byteLength), scope.allocate(out.byteLength)];
  const biasAt = bias ? scope.allocate(bias.byteLength) : 0;
  const columns = scope.allocate(matrices * panels * k * 32);
  const stride = alignBytes((GEMM_ROWS + GEMM_ROWS * GEMM_PANELS * 8) * 4);
  const scratch = scope.allocate(stride * engine.threads);
  const rowStride = transposeA ? paddedRow(k) : k * 4;
  const rowsAt = transposeA ? scope.allocate(batch * m * rowStride) : aAt;
  heap.floats(aAt, a.length).set(a);
  heap.floats(bAt, b.length).set(b);
  if (bias) heap.floats(biasAt, n).set(bias);
  const job = engine.job(scope, {
    M: m,
    N: n,
    DEPTH: k,
    A: aAt,
    B: bAt,
    OUT: cAt,
    BIAS: biasAt,
    COLUMNS: columns,
    SCRATCH: scratch,
    SCRATCH_STRIDE: stride,
    ROWS: rowsAt,
    ROW_STRIDE: rowStride,
    TRANSPOSE_B: transposeB ? 1 : 0,
    SHARED_B: matrices === 1 ? 1 : 0,
  });
  engine.run('packColumns', job, matrices * panels);
  if (transposeA) engine.run('packRows', job, batch * Math.ceil(m / GEMM_STRIPE));
  engine.run('gemm', job, batch * Math.ceil(m / GEMM_ROWS) * Math.ceil(panels / GEMM_PANELS));
  out.set(heap.floats(cAt, out.length));
  return out;
}

/** Bytes of a row of k numbers: rows a large power of two apart would share the sets of a cache. */
function paddedRow(k: number): number {
  const bytes = Math.ceil(k / 4) * 16 + 64;
  return bytes % 1024 === 0 ? bytes + 64 : bytes;
}
