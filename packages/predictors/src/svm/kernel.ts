// The kernels of support vector regression.
import type { Table } from '../core/table.ts';
import { dot } from '../linalg/cholesky.ts';
import { pairwiseDistances, squaredDistances } from '../linalg/distances.ts';

export type SvrKernel = 'rbf' | 'linear';

/** What both kernels are made from: squared distances for `rbf`, inner products for `linear`. n×n. */
export function kernelBase(kernel: SvrKernel, table: Table): Float64Array {
  if (kernel === 'rbf') return pairwiseDistances(table);
  const { rows: n, columns, data } = table;
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const value = dot(data, i * columns, data, j * columns, columns);
      result[i * n + j] = value;
      result[j * n + i] = value;
    }
  }
  return result;
}

/** exp(−γ·distance) for `rbf`; γ·product for `linear`. */
export function kernelFromBase(kernel: SvrKernel, base: Float64Array, gamma: number): Float64Array {
  return base.map(kernel === 'rbf' ? (distance) => Math.exp(-gamma * distance) : (product) => gamma * product);
}

/** Kernel values between rows of `a` and rows of `b`. */
export function kernelBetween(kernel: SvrKernel, a: Table, b: Table, gamma: number): Float64Array {
  if (kernel === 'rbf') return squaredDistances(a, b).map((distance) => Math.exp(-gamma * distance));
  const { columns } = a;
  const values = new Float64Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++)
      values[i * b.rows + j] = gamma * dot(a.data, i * columns, b.data, j * columns, columns);
  }
  return values;
}

/** 1 / (columns · mean variance): distances of unit order on average. 1 for constant tables. */
export function scaleGamma({ rows, columns, data }: Table): number {
  let mean = 0;
  for (const value of data) mean += value / data.length;
  let variance = 0;
  for (const value of data) variance += (value - mean) ** 2 / data.length;
  return variance > 0 && rows > 0 ? 1 / (columns * variance) : 1;
}
