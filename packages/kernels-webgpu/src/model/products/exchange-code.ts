// WGSL that adds several values of each lane over the lanes of a subgroup at once: halves of the values change places until each lane holds the sums of a few.
/** What {@link exchangeCode} leaves where. */
export interface Exchange {
  /** Values that a lane holds at the end, by the first names. */
  readonly left: number;
  /** Expression: which of the values the first of them is, given `lane`; those beyond the count are nobody's. */
  readonly place: string;
  /** Condition under which a lane's are its own, and no other lane's; '' for all. */
  readonly owns: string;
}

const log2 = (value: number): number => Math.ceil(Math.log2(value));

/** Where `count` sums over `lanes` lanes (a power of two) are. */
export function exchanged(count: number, lanes: number): Exchange {
  const [steps, all] = [log2(lanes), log2(count)];
  if (steps <= all) {
    const left = 2 ** (all - steps);
    return { left: Math.min(left, count), place: left === 1 ? 'lane' : `lane * ${left}u`, owns: '' };
  }
  const spare = steps - all;
  return { left: 1, place: `lane >> ${spare}u`, owns: `(lane & ${2 ** spare - 1}u) == 0u` };
}

/**
 * Statements: variables `name(0) … name(count - 1)` become sums over `lanes` lanes that follow one another, in one order whatever the
 * count. Expects `lane`.
 */
export function exchangeCode(count: number, lanes: number, name: (index: number) => string): string {
  const lines: string[] = [];
  let [held, room] = [count, 2 ** log2(count)];
  for (let offset = lanes / 2; offset >= 1; offset /= 2) {
    const half = room / 2;
    const own: string[] = [];
    for (let i = 0; i < (room > 1 ? Math.min(half, held) : 1); i++) {
      const [a, b] = [name(i), name(i + half)];
      own.push(
        room > 1 && i + half < held
          ? `${a} = select(${a}, ${b}, upper) + subgroupShuffleXor(select(${b}, ${a}, upper), ${offset}u);`
          : `${a} += subgroupShuffleXor(${a}, ${offset}u);`,
      );
    }
    lines.push(
      own.some((line) => line.includes('upper'))
        ? `{ let upper = (lane & ${offset}u) != 0u; ${own.join(' ')} }`
        : own.join(' '),
    );
    if (room > 1) {
      held = Math.min(held, half);
      room = half;
    }
  }
  return lines.join('\n    ');
}
