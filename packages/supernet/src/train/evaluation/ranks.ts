// Ranks of many numbers: a radix sort, since tens of millions of pairs are compared.

const BITS = 11;
const BUCKETS = 1 << BITS;
const PASSES = 3;

/** Rank of each number from 0, equal ones their mean rank. −0 counts as 0; there may be no NaN. */
export function ranksOfFloats(values: Float32Array): Float64Array {
  const count = values.length;
  const bits = new Uint32Array(Float32Array.from(values, (value) => value + 0).buffer);
  // Order of unsigned keys = order of the floats.
  for (let i = 0; i < count; i++) {
    const word = bits[i] as number;
    bits[i] = word & 0x80000000 ? ~word : word | 0x80000000;
  }
  let order = Uint32Array.from({ length: count }, (_, i) => i);
  let other = new Uint32Array(count);
  for (let pass = 0; pass < PASSES; pass++) {
    const shift = pass * BITS;
    const starts = new Uint32Array(BUCKETS + 1);
    for (let i = 0; i < count; i++) starts[(((bits[i] as number) >>> shift) & (BUCKETS - 1)) + 1]!++;
    for (let bucket = 0; bucket < BUCKETS; bucket++) starts[bucket + 1]! += starts[bucket] as number;
    for (let i = 0; i < count; i++) {
      const index = order[i] as number;
      other[starts[((bits[index] as number) >>> shift) & (BUCKETS - 1)]!++] = index;
    }
    [order, other] = [other, order];
  }
  const ranks = new Float64Array(count);
  for (let start = 0; start < count;) {
    let end = start + 1;
    while (end < count && bits[order[end] as number] === bits[order[start] as number]) end++;
    for (let i = start; i < end; i++) ranks[order[i] as number] = (start + end - 1) / 2;
    start = end;
  }
  return ranks;
}

/** Pearson's correlation; 0 where one does not vary. */
export function correlationOf(a: Float64Array, b: Float64Array): number {
  const mean = (values: Float64Array): number => {
    let sum = 0;
    for (const value of values) sum += value;
    return sum / values.length;
  };
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(a[i] as number) - meanA, (b[i] as number) - meanB];
    both += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  return ofA > 0 && ofB > 0 ? both / Math.sqrt(ofA * ofB) : 0;
}
