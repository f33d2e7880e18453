// Sets of characters, and how ranges of them lie in UTF-8.

/** Ranges of code points, ascending and apart. */
export type CodePoints = readonly (readonly [low: number, high: number])[];

export const LAST = 0x10ffff;

/** Code points that are characters: all but surrogates. */
export const EVERY: CodePoints = [
  [0, 0xd7ff],
  [0xe000, LAST],
];

/** Sorted and joined, without surrogates. */
export function rangesOf(points: CodePoints): CodePoints {
  const sorted = [...points].sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [low, high] of sorted) {
    const last = joined.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return intersect(joined, EVERY);
}

export function intersect(a: CodePoints, b: CodePoints): CodePoints {
  return a.flatMap(([low, high]) =>
    b.flatMap(([from, to]): [number, number][] => {
      const range: [number, number] = [Math.max(low, from), Math.min(high, to)];
      return range[0] <= range[1] ? [range] : [];
    }),
  );
}

/** All others. */
export function complement(points: CodePoints): CodePoints {
  const others: [number, number][] = [];
  let next = 0;
  for (const [low, high] of rangesOf(points)) {
    if (low > next) others.push([next, low - 1]);
    next = high + 1;
  }
  if (next <= LAST) others.push([next, LAST]);
  return rangesOf(others);
}

/** Last code points of one, two, three and four bytes. */
const LENGTHS = [0x7f, 0x7ff, 0xffff, LAST];

/** Ranges of bytes, one after another, that together are the characters from `low` to `high`, neither a surrogate. */
export function utf8Sequences(low: number, high: number): (readonly [number, number])[][] {
  const cut = LENGTHS.find((last) => low <= last && high > last);
  if (cut !== undefined) return [...utf8Sequences(low, cut), ...utf8Sequences(cut + 1, high)];
  const [from, to] = [encoded(low), encoded(high)];
  // Where all bytes behind the first difference are full, the ranges are those of the bytes; else the ends are cut off.
  for (let tail = 1; tail < from.length; tail++) {
    const size = 64 ** tail;
    if (Math.floor(low / size) === Math.floor(high / size)) continue;
    if (low % size !== 0) {
      const middle = (Math.floor(low / size) + 1) * size;
      return [...utf8Sequences(low, middle - 1), ...utf8Sequences(middle, high)];
    }
    if ((high + 1) % size !== 0) {
      const middle = Math.floor(high / size) * size;
      return [...utf8Sequences(low, middle - 1), ...utf8Sequences(middle, high)];
    }
  }
  return [from.map((byte, index) => [byte, to[index] as number] as const)];
}

function encoded(point: number): number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(point))];
}
