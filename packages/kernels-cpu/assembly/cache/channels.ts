// The channels that half of a search multiplies (docs/specification/hip.md §8.1).

/** Channels [d/4, d/2) and [3d/4, d) of a row (docs/specification/hip.md §8.1), to a place that may be the row itself. */
export function slowHalf(from: usize, to: usize, d: i32): void {
  const quarter = <usize>d & ~3;
  if ((d & 15) == 0) {
    for (let c: usize = 0; c < quarter; c += 16) v128.store(to + c, v128.load(from + quarter + c));
    for (let c: usize = 0; c < quarter; c += 16) v128.store(to + quarter + c, v128.load(from + 3 * quarter + c));
    return;
  }
  for (let c: usize = 0; c < quarter; c += 4) store<f32>(to + c, load<f32>(from + quarter + c));
  for (let c: usize = 0; c < quarter; c += 4) store<f32>(to + quarter + c, load<f32>(from + 3 * quarter + c));
}
