// Rows of features as one block of numbers, checked once.
import { PredictorError } from '../errors.ts';

/** Rows of features, all of one length, finite. */
export type Rows = readonly ArrayLike<number>[];

/** `rows` × `columns` numbers, row after row. */
export interface Table {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/**
 * @param columns what every row must have; the first row's length if left out
 * @throws PredictorError `invalid-data`
 */
export function tableOf(rows: Rows, columns: number = rows[0]?.length ?? 0): Table {
  if (rows.length > 0 && columns === 0) {
    throw new PredictorError('invalid-data', 'rows have no features: give at least one column', { rows: rows.length });
  }
  const data = new Float64Array(rows.length * columns);
  rows.forEach((row, i) => {
    if (row.length !== columns) {
      throw new PredictorError(
        'invalid-data',
        `row ${i} has ${row.length} features, needs ${columns}: encode all rows alike`,
        {
          row: i,
          length: row.length,
          expected: columns,
        },
      );
    }
    for (let k = 0; k < columns; k++) {
      const value = row[k]!;
      if (!Number.isFinite(value)) {
        throw new PredictorError('invalid-data', `feature ${k} of row ${i} is ${value}: use finite numbers`, {
          row: i,
          feature: k,
          value,
        });
      }
      data[i * columns + k] = value;
    }
  });
  return { rows: rows.length, columns, data };
}

/** @throws PredictorError `invalid-data` unless there is one finite number per row, and at least one row */
export function targetsOf(targets: ArrayLike<number>, rows: number): Float64Array {
  if (targets.length !== rows || rows === 0) {
    throw new PredictorError(
      'invalid-data',
      `${targets.length} targets for ${rows} rows: give one each, and at least one row`,
      {
        targets: targets.length,
        rows,
      },
    );
  }
  const values = Float64Array.from(targets);
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) {
      throw new PredictorError('invalid-data', `target ${i} is ${value}: drop failed measurements first`, {
        row: i,
        value,
      });
    }
  });
  return values;
}

/** The given rows, in the given order. */
export function takeRows(table: Table, indices: ArrayLike<number>): Table {
  const { columns } = table;
  const data = new Float64Array(indices.length * columns);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * columns;
    data.set(table.data.subarray(from, from + columns), i * columns);
  }
  return { rows: indices.length, columns, data };
}

export function takeValues(values: Float64Array, indices: ArrayLike<number>): Float64Array {
  const taken = new Float64Array(indices.length);
  for (let i = 0; i < indices.length; i++) taken[i] = values[indices[i]!]!;
  return taken;
}
