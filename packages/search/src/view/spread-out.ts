// Points of a plot that can be told apart: of those that lie on each other one is drawn.

/** Cells along a side: as fine as dots of three pixels can be told apart. */
const FINEST = 128;
/** Dots without which a plot loses nothing. */
const MOST = 1000;

/**
 * All items where they are few; else one of each cell of a grid over their range, as fine as leaves at most {@link MOST} of them.
 *
 * @param at - where an item lies, two finite numbers
 * @param isKept - whether an item is drawn whatever lies beside it
 */
export function spreadOut<T>(
  items: readonly T[],
  at: (item: T) => readonly [number, number],
  isKept: (item: T) => boolean,
): readonly T[] {
  if (items.length <= MOST) return items;
  const places = items.map(at);
  const [x, y] = ([0, 1] as const).map((axis) => rangeOf(places, axis)) as [Range, Range];
  for (let cells = FINEST; ; cells /= 2) {
    const taken = new Set<number>();
    const drawn = items.filter((item, i) => {
      const cell = cellOf(places[i]![0], x, cells) * cells + cellOf(places[i]![1], y, cells);
      const isNew = !taken.has(cell);
      taken.add(cell);
      return isNew || isKept(item);
    });
    if (taken.size <= MOST) return drawn;
  }
}

interface Range {
  readonly least: number;
  readonly most: number;
}

function rangeOf(places: readonly (readonly [number, number])[], axis: 0 | 1): Range {
  let [least, most] = [Infinity, -Infinity];
  for (const place of places) {
    least = Math.min(least, place[axis]);
    most = Math.max(most, place[axis]);
  }
  return { least, most };
}

function cellOf(value: number, { least, most }: Range, cells: number): number {
  return most > least ? Math.min(cells - 1, Math.floor(((value - least) / (most - least)) * cells)) : 0;
}
