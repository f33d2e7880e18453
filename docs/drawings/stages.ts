// Stages of one query with what each keeps, for the drawing. The result is tested against @hip/mask-search.

export interface Chunk {
  readonly start: number;
  readonly end: number;
  readonly kept: boolean;
}

export interface DrawnStage {
  readonly chunk: number;
  readonly keep: number;
  readonly chunks: readonly Chunk[];
}

/** Every stage's chunks, scored by their best key; `keep` counts tokens. */
export function stagesOf(
  scores: readonly number[],
  stages: readonly { readonly chunk: number; readonly keep: number }[],
): DrawnStage[] {
  let candidates = [{ start: 0, end: scores.length }];
  return stages.map(({ chunk, keep }) => {
    const cut = candidates.flatMap(({ start, end }) =>
      Array.from({ length: Math.ceil((end - start) / chunk) }, (_, i) => ({
        start: start + i * chunk,
        end: Math.min(start + (i + 1) * chunk, end),
      })),
    );
    const best = ({ start, end }: { readonly start: number; readonly end: number }): number =>
      Math.max(...scores.slice(start, end));
    const order = cut.toSorted((a, b) => best(b) - best(a) || a.start - b.start);
    const survivors = new Set(order.slice(0, keep / chunk));
    const chunks = cut.map((one) => ({ ...one, kept: survivors.has(one) }));
    candidates = chunks.filter(({ kept }) => kept);
    return { chunk, keep, chunks };
  });
}
