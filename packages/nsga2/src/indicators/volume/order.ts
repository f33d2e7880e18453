// Orders of rows by one column.

/** Up to so many rows insertion is faster than a sort that calls back. */
const FEW = 40;

/** Rows by descending column. */
export function descending(gains: Float64Array, count: number, dimension: number, column: number): Int32Array {
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (count > FEW)
    return order.sort((i, j) => gains[j * dimension + column]! - gains[i * dimension + column]! || i - j);
  for (let i = 1; i < count; i++) {
    const gain = gains[i * dimension + column]!;
    let place = i;
    for (; place > 0 && gains[order[place - 1]! * dimension + column]! < gain; place--)
      order[place] = order[place - 1]!;
    order[place] = i;
  }
  return order;
}
