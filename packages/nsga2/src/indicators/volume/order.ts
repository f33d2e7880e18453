// Orders of rows by one column.

/** Up to so many rows insertion alone is fastest. */
const FEW = 24;

/** Rows a bucket, squared and averaged, up to which insertion puts buckets in order faster than a sort that calls back. */
const CROWDED = 16;

/** Rows by descending column; of equals, the earlier first. */
export function descending(gains: Float64Array, count: number, dimension: number, column: number): Int32Array {
  const order = new Int32Array(count);
  const keys = new Float64Array(count);
  if (count <= FEW || !fillByBuckets(gains, count, dimension, column, order, keys)) {
    for (let i = 0; i < count; i++) {
      order[i] = i;
      keys[i] = gains[i * dimension + column]!;
    }
    if (count > FEW)
      return order.sort((i, j) => gains[j * dimension + column]! - gains[i * dimension + column]! || i - j);
  }
  for (let i = 1; i < count; i++) {
    const key = keys[i]!;
    if (keys[i - 1]! >= key) continue;
    const row = order[i]!;
    let place = i;
    do {
      keys[place] = keys[place - 1]!;
      order[place] = order[place - 1]!;
      place--;
    } while (place > 0 && keys[place - 1]! < key);
    keys[place] = key;
    order[place] = row;
  }
  return order;
}

/** Fills rows and their keys bucket by bucket, of which there are as many as rows. @returns false, and nothing filled, where too many rows share a bucket */
function fillByBuckets(
  gains: Float64Array,
  count: number,
  dimension: number,
  column: number,
  order: Int32Array,
  keys: Float64Array,
): boolean {
  let least = Infinity;
  let most = -Infinity;
  for (let i = 0, at = column; i < count; i++, at += dimension) {
    const gain = gains[at]!;
    if (gain < least) least = gain;
    if (gain > most) most = gain;
  }
  const scale = (count - 1) / (most - least);
  if (!Number.isFinite(scale)) return false;
  const buckets = new Int32Array(count);
  const ends = new Int32Array(count + 1);
  for (let i = 0, at = column; i < count; i++, at += dimension) {
    const bucket = ((most - gains[at]!) * scale) | 0;
    buckets[i] = bucket;
    ends[bucket + 1]!++;
  }
  let squares = 0;
  for (let bucket = 1; bucket <= count; bucket++) {
    const rows = ends[bucket]!;
    squares += rows * rows;
    ends[bucket] = ends[bucket - 1]! + rows;
  }
  if (squares > CROWDED * count) return false;
  for (let i = 0, at = column; i < count; i++, at += dimension) {
    const place = ends[buckets[i]!]!++;
    order[place] = i;
    keys[place] = gains[at]!;
  }
  return true;
}
