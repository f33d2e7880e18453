// Orders of rows by one column.

/** Rows by descending column. */
export function descending(gains: Float64Array, count: number, dimension: number, column: number): Int32Array {
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  return order.sort((i, j) => gains[j * dimension + column]! - gains[i * dimension + column]! || i - j);
}
