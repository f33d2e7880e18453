// Candidates of a stage: the chunks that the survivors of the stage before are cut into (docs/specification/hip.md §3).

/** How a stage's candidates come from what is before it. */
export interface CandidateSource {
  /** Tokens per chunk of this stage. */
  readonly chunk: number;
  /** The stage before; absent for the first, whose candidates are all chunks. */
  readonly previous?: { readonly chunk: number; readonly capacity: number } | undefined;
}

/**
 * `candidate_count(cell, searchable)` and `candidate_token(cell, i)`: only the last survivor can be cut short by the end of the
 * searchable tokens, so both need no scan.
 */
export function candidateCode({ chunk, previous }: CandidateSource): string {
  if (!previous)
    return `fn candidate_count(cell: u32, searchable: u32) -> u32 { return (searchable + ${chunk - 1}u) / ${chunk}u; }
fn candidate_token(cell: u32, i: u32) -> u32 { return i * ${chunk}u; }`;
  const ratio = previous.chunk / chunk;
  return `fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * ${previous.capacity}u + before - 1u];
  return (before - 1u) * ${ratio}u + (min(${previous.chunk}u, searchable - last) + ${chunk - 1}u) / ${chunk}u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * ${previous.capacity}u + i / ${ratio}u] + (i % ${ratio}u) * ${chunk}u;
}`;
}

/**
 * The same, with the survivors of one cell in workgroup memory: `hold_candidates(cell, lane)` first, and a barrier after it. Without
 * it every address waits for a survivor that is read from the buffer.
 */
export function heldCandidateCode({ chunk, previous }: CandidateSource, lanes: number): string {
  if (!previous) return `${candidateCode({ chunk })}\nfn hold_candidates(cell: u32, lane: u32) {}`;
  const { capacity } = previous;
  const ratio = previous.chunk / chunk;
  return `var<workgroup> held_starts: array<u32, ${capacity}>;
fn hold_candidates(cell: u32, lane: u32) {
  let before = min(previous_counts[cell], ${capacity}u);
  for (var i = lane; i < before; i += ${lanes}u) { held_starts[i] = previous_starts[cell * ${capacity}u + i]; }
}
${candidateCode({ chunk, previous }).split('\nfn candidate_token')[0]}
fn candidate_token(cell: u32, i: u32) -> u32 { return held_starts[i / ${ratio}u] + (i % ${ratio}u) * ${chunk}u; }`;
}

/** Declarations of the bindings that {@link candidateCode} reads. */
export function candidateBindings({ previous }: CandidateSource): string[] {
  return previous
    ? ['var<storage, read> previous_starts: array<u32>', 'var<storage, read> previous_counts: array<u32>']
    : [];
}
