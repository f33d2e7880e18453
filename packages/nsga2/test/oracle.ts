// Slow and obvious versions of what the package computes, to compare with.

/** a is nowhere worse than b and somewhere better. */
export function dominatesPlainly(a: readonly number[], b: readonly number[]): boolean {
  return a.every((value, k) => value <= b[k]!) && a.some((value, k) => value < b[k]!);
}

/** Ranks by peeling off one front after the other. */
export function peelRanks(points: readonly (readonly number[])[]): number[] {
  const ranks = points.map(() => -1);
  for (let rank = 0; ranks.includes(-1); rank++) {
    const open = points.flatMap((_, i) => (ranks[i] === -1 ? [i] : []));
    const front = open.filter((i) => !open.some((j) => dominatesPlainly(points[j]!, points[i]!)));
    for (const i of front) ranks[i] = rank;
  }
  return ranks;
}

/** Hypervolume by cutting space at every coordinate and adding up the boxes that some point dominates. */
export function gridHypervolume(points: readonly (readonly number[])[], reference: readonly number[]): number {
  const cuts = reference.map((limit, k) =>
    [...new Set([...points.map((point) => point[k]!).filter((value) => value < limit), limit])].sort((a, b) => a - b),
  );
  let total = 0;
  const walk = (k: number, corner: number[], volume: number): void => {
    if (k === reference.length) {
      if (points.some((point) => point.every((value, j) => value <= corner[j]!))) total += volume;
      return;
    }
    for (let c = 0; c + 1 < cuts[k]!.length; c++) {
      walk(k + 1, [...corner, cuts[k]![c]!], volume * (cuts[k]![c + 1]! - cuts[k]![c]!));
    }
  };
  walk(0, [], 1);
  return total;
}

/** Hypervolume by inclusion and exclusion: the boxes, less what two share, plus what three share, … Exact in whole numbers; 2^N terms. */
export function hypervolumeByExclusion(points: readonly (readonly number[])[], reference: readonly number[]): number {
  const walk = (from: number, worst: readonly number[] | undefined): number => {
    let total = 0;
    for (let i = from; i < points.length; i++) {
      const corner = points[i]!.map((value, k) => Math.max(value, worst?.[k] ?? -Infinity));
      const box = corner.reduce((product, value, k) => product * Math.max(0, reference[k]! - value), 1);
      if (box > 0) total += box - walk(i + 1, corner);
    }
    return total;
  };
  return walk(0, undefined);
}

/** The middle value. */
export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
