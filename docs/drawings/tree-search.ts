// The tree search of one query with its rounds kept, for the drawing. Its result is tested against @hip/mask-search.

export interface Run {
  readonly start: number;
  readonly end: number;
  /** The key that was multiplied with the query: the run's centre. */
  readonly centre: number;
  readonly kept: boolean;
}

/** Rounds of halves, each with its kept ones; the last round's kept runs are single keys. */
export function roundsOf(scores: readonly number[], k: number): Run[][] {
  const rounds: Run[][] = [];
  let runs = Array.from({ length: k }, (_, i) => ({
    start: Math.floor((i * scores.length) / k),
    end: Math.floor(((i + 1) * scores.length) / k),
  }));
  while (runs.some(({ start, end }) => end - start > 1)) {
    const halves = runs
      .flatMap(({ start, end }) => {
        const middle = start + Math.floor((end - start) / 2);
        return [
          { start, end: middle },
          { start: middle, end },
        ];
      })
      .filter(({ start, end }) => end > start)
      .map(({ start, end }) => ({ start, end, centre: start + Math.floor((end - start) / 2) }));
    const order = [...halves.keys()].sort(
      (a, b) => scores[halves[b]!.centre]! - scores[halves[a]!.centre]! || halves[a]!.start - halves[b]!.start,
    );
    const best = new Set(order.slice(0, k));
    const round = halves.map((half, i) => ({ ...half, kept: best.has(i) }));
    rounds.push(round);
    runs = round.filter(({ kept }) => kept);
  }
  return rounds;
}
