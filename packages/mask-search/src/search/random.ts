// mulberry32: a small seeded generator for the `random` representative, ensembles and the random-blocks baseline.

/** Numbers in [0, 1); equal seeds give equal sequences. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A generator of its own for each place (query block, ensemble member, head…), so that no order of evaluation changes it. */
export function randomAt(seed: number, ...place: readonly number[]): () => number {
  let mixed = seed >>> 0;
  for (const number of place) {
    mixed = Math.imul(mixed ^ (number + 0x9e3779b9), 0x85ebca6b) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0;
    mixed ^= mixed >>> 16;
  }
  return mulberry32(mixed);
}
