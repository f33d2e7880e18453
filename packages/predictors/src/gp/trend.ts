// A linear and quadratic trend as part of a Gaussian process: what single columns do on their own, known far from the rows, too.
import type { Table } from '../core/table.ts';
import { dot } from '../linalg/cholesky.ts';

/**
 * Columns φ of the trend's covariance τ·φ(a)·φ(b): the table's own columns, in a common unit, and the squares of those that have more than two
 * values, about their means. A normal prior on their coefficients, as in Bayesian linear regression (Rasmussen & Williams 2006, §2.1).
 */
export interface Trend {
  /** What the columns are divided by. */
  readonly unit: number;
  /** Columns whose squares are columns, too. */
  readonly squared: Int32Array;
  /** Means of these squares. */
  readonly centres: Float64Array;
}

/** @param table scaled rows, of mean 0 */
export function trendOf({ rows, columns, data }: Table, unit: number): Trend {
  const squared: number[] = [];
  for (let k = 0; k < columns; k++) {
    const values = new Set<number>();
    for (let at = k; at < data.length && values.size < 3; at += columns) values.add(data[at]!);
    if (values.size > 2) squared.push(k);
  }
  const centres = squared.map((k) => {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += (data[i * columns + k]! / unit) ** 2;
    return sum / rows;
  });
  return { unit, squared: Int32Array.from(squared), centres: Float64Array.from(centres) };
}

/** φ of each row, scaled so that a row's φ·φ is about 1. */
export function trendColumns({ rows, columns, data }: Table, { unit, squared, centres }: Trend): Table {
  const width = columns + squared.length;
  const scale = 1 / Math.sqrt(width);
  const result = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) {
    const to = i * width;
    for (let k = 0; k < columns; k++) result[to + k] = (scale * data[i * columns + k]!) / unit;
    squared.forEach((k, s) => {
      result[to + columns + s] = scale * ((data[i * columns + k]! / unit) ** 2 - centres[s]!);
    });
  }
  return { rows, columns: width, data: result };
}

/** The lower triangle of φ·φᵀ. */
export function gramOf({ rows: n, columns, data }: Table): Float64Array {
  const gram = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) gram[i * n + j] = dot(data, i * columns, data, j * columns, columns);
  return gram;
}
