// Squared distances and inner products between the rows of tables.
import type { Table } from '../core/table.ts';
import { dot } from './cholesky.ts';

/** Squared norms of the rows. */
export function squaredNorms({ rows, columns, data }: Table): Float64Array {
  return Float64Array.from({ length: rows }, (_, i) => dot(data, i * columns, data, i * columns, columns));
}

/** ‖aᵢ − bⱼ‖² for all pairs, row after row of `a`. By differences: exact zeros for equal rows. */
export function squaredDistances(a: Table, b: Table): Float64Array {
  const { columns } = a;
  const result = new Float64Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++) {
    const from = i * columns;
    for (let j = 0; j < b.rows; j++) {
      const other = j * columns;
      let sum = 0;
      for (let k = 0; k < columns; k++) {
        const difference = a.data[from + k]! - b.data[other + k]!;
        sum += difference * difference;
      }
      result[i * b.rows + j] = sum;
    }
  }
  return result;
}

/** The n×n of one table with itself: half the work, symmetric to the bit. */
export function pairwiseDistances(table: Table): Float64Array {
  const { rows: n, columns, data } = table;
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = 0; k < columns; k++) {
        const difference = data[i * columns + k]! - data[j * columns + k]!;
        sum += difference * difference;
      }
      result[i * n + j] = sum;
      result[j * n + i] = sum;
    }
  }
  return result;
}
