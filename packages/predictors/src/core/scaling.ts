// Zero mean and unit deviation, for features and for targets, in any unit.
import { PredictorError } from '../errors.ts';
import { isConstant } from './range.ts';
import type { Table } from './table.ts';

/** Column means and deviations. */
export interface Scaling {
  readonly means: Float64Array;
  /** Of a constant column its own size, so that a value it never had is as far away in any unit; 1 where it is all 0. */
  readonly deviations: Float64Array;
}

/** A scaling with the table it was learnt from, scaled; columns that differ by rounding only are 0 in it. */
export interface Scaled extends Scaling {
  readonly table: Table;
  /** 1 where the column is constant. */
  readonly constant: Uint8Array;
}

interface Column {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** Mean and range. About the lowest value: a constant column has its mean to the bit. */
function columnOf({ rows, columns, data }: Table, column: number): Column {
  let low = Infinity;
  let high = -Infinity;
  for (let at = column; at < data.length; at += columns) {
    low = Math.min(low, data[at]!);
    high = Math.max(high, data[at]!);
  }
  let above = 0;
  for (let at = column; at < data.length; at += columns) above += (data[at]! - low) / rows;
  return { mean: low + above, low, high };
}

/**
 * Means and population deviations of the columns, and the table scaled by them. Without `standardize`, means only, and every deviation is 1.
 *
 * @throws PredictorError `invalid-data` where a square of the values' differences overflows, or vanishes in all of them
 */
export function scale(table: Table, standardize: boolean): Scaled {
  const { rows, columns, data } = table;
  const means = new Float64Array(columns);
  const deviations = new Float64Array(columns).fill(1);
  const constant = new Uint8Array(columns);
  const scaledData = new Float64Array(data.length);
  let squares = 0;
  for (let k = 0; k < columns; k++) {
    const { mean, low, high } = columnOf(table, k);
    means[k] = mean;
    constant[k] = Number(isConstant(low, high));
    const width = high - low;
    if (standardize) {
      if (!Number.isFinite(width * width)) outOfRange(table, 'more', k);
      deviations[k] = constant[k] ? Math.abs(mean) || 1 : deviationOf(table, k, mean, width);
    }
    if (constant[k]) continue;
    for (let at = k; at < data.length; at += columns) {
      const centred = data[at]! - mean;
      scaledData[at] = standardize ? centred / deviations[k]! : centred;
      squares += centred * centred;
    }
  }
  // A squared distance is at most four times the sum of all squares about the means.
  if (!standardize && !Number.isFinite(4 * squares)) outOfRange(table, 'more');
  if (!standardize && squares < LEAST_SQUARES && constant.includes(0)) outOfRange(table, 'less');
  return { means, deviations, constant, table: { rows, columns, data: scaledData } };
}

/** Sums of squares below this have lost digits: the smallest normal float64, and as many binary places as its digits. */
const LEAST_SQUARES = 2 ** -1022 * 2 ** 53;

/** In units of the width, whose square neither overflows nor vanishes. */
function deviationOf({ rows, columns, data }: Table, column: number, mean: number, width: number): number {
  let sum = 0;
  for (let at = column; at < data.length; at += columns) sum += ((data[at]! - mean) / width) ** 2;
  return width * Math.sqrt(sum / rows);
}

/** @param column the one that is too large; all together if left out */
function outOfRange({ columns, data }: Table, by: 'more' | 'less', column?: number): never {
  const values = column === undefined ? data : data.filter((_, at) => at % columns === column);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  throw new PredictorError(
    'invalid-data',
    `values up to ${largest} vary by ${by} than a square of theirs can say: ${by === 'more' ? 'divide' : 'multiply'} them by a constant${by === 'less' ? ', or leave standardize on' : ''}`,
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

/** Targets with mean 0 and deviation 1; constant ones are all 0, with their own size (1 where they are 0) for a deviation. */
export interface ScaledTargets {
  readonly values: Float64Array;
  readonly mean: number;
  readonly deviation: number;
}

/** @throws PredictorError `invalid-data` where the square of the targets' range overflows */
export function scaleTargets(targets: Float64Array): ScaledTargets {
  const { table, means, deviations } = scale({ rows: targets.length, columns: 1, data: targets }, true);
  return { values: table.data, mean: means[0]!, deviation: deviations[0]! };
}
