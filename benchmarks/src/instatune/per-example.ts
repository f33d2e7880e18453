// What several networks are compared by: the numbers of each example.

/** How good a network is on some data. */
export interface Score {
  readonly accuracy: number;
  readonly loss: number;
  /** The same of each example. */
  readonly perExample?: { readonly accuracy: Float64Array; readonly loss: Float64Array };
}

/** Which examples were right (1) or not (0), a bit each, as text. */
export function packHits(hits: ArrayLike<number>): string {
  const bits = new Uint8Array(Math.ceil(hits.length / 8));
  for (let i = 0; i < hits.length; i++) bits[i >> 3] = (bits[i >> 3] as number) | ((hits[i] as number) << (i & 7));
  return Buffer.from(bits).toString('base64');
}

/** The inverse of {@link packHits}. @param count examples: the last byte may have bits of none */
export function unpackHits(text: string, count: number): Float64Array {
  const bits = Buffer.from(text, 'base64');
  return Float64Array.from({ length: count }, (_, i) => ((bits[i >> 3] as number) >> (i & 7)) & 1);
}

/** Standard error of the mean of a − b over the same examples. */
export function pairedError(a: Float64Array, b: Float64Array): number {
  const differences = a.map((value, i) => value - b[i]!);
  const n = differences.length;
  const mean = differences.reduce((sum, one) => sum + one, 0) / n;
  return Math.sqrt(differences.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (n - 1) / n);
}
