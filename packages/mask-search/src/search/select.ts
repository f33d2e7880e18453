// The M best of many scored candidates by a threshold, without a full sort. Ties: higher score first, then lower index.

/**
 * Indices of the `count` largest scores, ascending. Equal scores: the lower index wins. −Infinity and dead candidates never win
 * over a finite score, and NaN is not allowed.
 *
 * @param alive candidates that may be chosen; all when absent
 */
export function selectLargest(scores: ArrayLike<number>, count: number, alive?: ArrayLike<boolean>): number[] {
  if (count <= 0) return [];
  const candidates: number[] = [];
  for (let i = 0; i < scores.length; i++) if (alive === undefined || alive[i]) candidates.push(i);
  if (candidates.length <= count) return candidates;
  const threshold = kthLargest(
    candidates.map((i) => scores[i]!),
    count,
  );
  let ties = count;
  for (const i of candidates) if (scores[i]! > threshold) ties--;
  return candidates.filter((i) => scores[i]! > threshold || (scores[i] === threshold && ties-- > 0));
}

/** The k-th largest value (k >= 1), by quickselect. */
export function kthLargest(values: number[], k: number): number {
  let low = 0;
  let high = values.length - 1;
  const target = k - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1]!;
    let i = low;
    let j = high;
    while (i <= j) {
      while (values[i]! > pivot) i++;
      while (values[j]! < pivot) j--;
      if (i <= j) {
        [values[i], values[j]] = [values[j]!, values[i]!];
        i++;
        j--;
      }
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else break;
  }
  return values[target]!;
}
