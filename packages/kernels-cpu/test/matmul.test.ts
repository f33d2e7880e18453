// Matrix products of both binaries against float64.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import '@hip/testing';
import { createCpuRuntime } from '../src/index.ts';
import { randomTensor } from './support.ts';

describe.each(['plain', 'relaxed'] as const)('matrix products, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());

  it('matrix products equal float64, transposed or not, shared or batched, with bias', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (m, n, k, batch, sharedB, transposeA, transposeB, withBias) => {
          const a = randomTensor(batch * m * k, m);
          const b = randomTensor((sharedB ? 1 : batch) * k * n, n);
          const bias = withBias ? randomTensor(n, 5) : undefined;
          const expected = new Float64Array(batch * m * n);
          for (let i = 0; i < batch; i++) {
            for (let r = 0; r < m; r++) {
              for (let c = 0; c < n; c++) {
                let sum = bias ? bias[c]! : 0;
                for (let e = 0; e < k; e++) {
                  const left = a[i * m * k + (transposeA ? e * m + r : r * k + e)]!;
                  sum += left * b[(sharedB ? 0 : i * k * n) + (transposeB ? c * k + e : e * n + c)]!;
                }
                expected[(i * m + r) * n + c] = sum;
              }
            }
          }
          const actual = cpu.matmul(a, b, { m, n, k, batch, sharedB, transposeA, transposeB, bias });
          expect(actual).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-5 });
        },
      ),
      { numRuns: 60 },
    );
  });
});
