// How many tokens of an example are kept where nobody says.

const MOST_TOKENS = 128;
/** Lengths of batches are multiples: fewer shapes, and fuller vectors. */
export const LENGTH_MULTIPLE = 8;

/** Tokens that 99 % of the examples need, at most 128. */
export function neededTokens(lengths: readonly number[]): number {
  const sorted = [...lengths].sort((a, b) => a - b);
  const needed = sorted[Math.min(sorted.length - 1, Math.floor(0.99 * sorted.length))]!;
  return Math.min(MOST_TOKENS, LENGTH_MULTIPLE * Math.ceil(needed / LENGTH_MULTIPLE));
}
