// Zero mean and unit deviation, for features and for targets.
import { PredictorError } from '../errors.ts';
import type { Table } from './table.ts';

/** Column means and deviations; a constant column has deviation 1. */
export interface Scaling {
  readonly means: Float64Array;
  readonly deviations: Float64Array;
}

/** Deviations below this share of a column's magnitude are rounding, not variation. */
const CONSTANT = 1e-12;

/**
 * Means and population deviations of the columns.
 *
 * @throws PredictorError `invalid-data` where a deviation overflows, or where distances between rows as they are would
 */
export function scalingOf(table: Table, standardize: boolean): Scaling {
  const { rows, columns, data } = table;
  const means = new Float64Array(columns);
  const deviations = new Float64Array(columns).fill(1);
  for (let i = 0; i < rows; i++) for (let k = 0; k < columns; k++) means[k]! += data[i * columns + k]! / rows;
  if (standardize) {
    for (let k = 0; k < columns; k++) {
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += (data[i * columns + k]! - means[k]!) ** 2;
      const deviation = Math.sqrt(sum / rows);
      if (!Number.isFinite(deviation)) tooLarge(table, k);
      if (deviation > CONSTANT * (1 + Math.abs(means[k]!))) deviations[k] = deviation;
    }
  }
  // A squared distance is at most four times the sum of all squares about the means.
  if (!standardize) {
    const squares = data.reduce((sum, value, at) => sum + (value - means[at % columns]!) ** 2, 0);
    if (!Number.isFinite(4 * squares)) tooLarge(table);
  }
  return { means, deviations };
}

/** @param column the one that is too large; all together if left out */
function tooLarge({ columns, data }: Table, column?: number): never {
  const values = column === undefined ? data : data.filter((_, at) => at % columns === column);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  throw new PredictorError(
    'invalid-data',
    `values up to ${largest} vary by more than a square of theirs can say: divide them by a constant`,
    { column, largest },
  );
}

/**
 * The values, where all of them are finite. Far from the training rows sums and squares overflow: that is an error, no prediction.
 *
 * @throws PredictorError `invalid-data` naming the first row that is too far
 */
export function finite(values: Float64Array): Float64Array {
  const row = values.findIndex((value) => !Number.isFinite(value));
  if (row < 0) return values;
  throw new PredictorError(
    'invalid-data',
    `row ${row} is so far from the training rows that its prediction overflows (${values[row]}): ask about rows nearer to them`,
    { row, value: values[row] },
  );
}

/** (value − mean) / deviation, in a new table. */
export function scaled({ rows, columns, data }: Table, { means, deviations }: Scaling): Table {
  const result = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < columns; k++) {
      const at = i * columns + k;
      result[at] = (data[at]! - means[k]!) / deviations[k]!;
    }
  }
  return { rows, columns, data: result };
}

/** Targets with mean 0 and deviation 1; a constant target has deviation 1. */
export interface ScaledTargets {
  readonly values: Float64Array;
  readonly mean: number;
  readonly deviation: number;
}

export function scaleTargets(targets: Float64Array): ScaledTargets {
  const { means, deviations } = scalingOf({ rows: targets.length, columns: 1, data: targets }, true);
  const mean = means[0]!;
  const deviation = deviations[0]!;
  return { values: targets.map((value) => (value - mean) / deviation), mean, deviation };
}
