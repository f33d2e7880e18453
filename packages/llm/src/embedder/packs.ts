// Texts of unlike lengths in passes through the encoder: sorted by length, packed row behind row, so that nothing is padded.

/** Texts of one length whose rows follow one another. */
export interface Run {
  readonly texts: number;
  readonly tokens: number;
}

/** One pass through the encoder. */
export interface Pack {
  /** Indices of the texts, the shortest first. */
  readonly texts: readonly number[];
  /** Of all texts together. */
  readonly rows: number;
  readonly runs: readonly Run[];
}

/**
 * @param lengths - tokens of each text, none above `rows`
 * @param rows - most tokens of a pass
 */
export function packTexts(lengths: readonly number[], rows: number): Pack[] {
  const order = lengths.map((_, index) => index).sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
  const packs: Pack[] = [];
  let texts: number[] = [];
  let used = 0;
  const close = () => {
    if (texts.length > 0) packs.push({ texts, rows: used, runs: runsOf(texts.map((index) => lengths[index] ?? 0)) });
    [texts, used] = [[], 0];
  };
  for (const index of order) {
    const tokens = lengths[index] ?? 0;
    if (used + tokens > rows) close();
    texts.push(index);
    used += tokens;
  }
  close();
  return packs;
}

function runsOf(sorted: readonly number[]): Run[] {
  const texts = new Map<number, number>();
  for (const tokens of sorted) texts.set(tokens, (texts.get(tokens) ?? 0) + 1);
  return Array.from(texts, ([tokens, count]) => ({ texts: count, tokens }));
}
