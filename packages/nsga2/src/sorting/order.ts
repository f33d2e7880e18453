// Lexicographic order of rows, the first step of every sweep here.

/** Indices of the rows in ascending lexicographic order (first column first); equal rows keep their order. */
export function lexicographicOrder(values: Float64Array, count: number, dimension: number): Int32Array {
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  return order.sort((i, j) => {
    const a = i * dimension;
    const b = j * dimension;
    for (let k = 0; k < dimension; k++) {
      const difference = values[a + k]! - values[b + k]!;
      if (difference < 0) return -1;
      if (difference > 0) return 1;
    }
    return i - j;
  });
}

/** True when the rows hold the same numbers. */
export function sameRow(values: Float64Array, dimension: number, i: number, j: number): boolean {
  const a = i * dimension;
  const b = j * dimension;
  for (let k = 0; k < dimension; k++) if (values[a + k] !== values[b + k]) return false;
  return true;
}
