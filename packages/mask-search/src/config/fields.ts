// Fields that nothing reads: slips of the pen, refused with the name that was meant.
import { HipError } from '../errors.ts';

/**
 * @param at where the fields stand, e.g. `stages[0]`
 * @throws HipError `invalid-config` for a field that is not among the known ones; those that are undefined do not count
 */
export function checkFields(given: object, known: readonly string[], at: string): void {
  for (const [name, value] of Object.entries(given)) {
    if (known.includes(name) || value === undefined) continue;
    const meant = nearestName(name, known);
    const hint = meant === undefined ? '' : ` (did you mean ${meant}?)`;
    const message = `${at}.${name} is ${String(value)}: there is no such field${hint}; those there are: ${known.join(', ')}`;
    throw new HipError('invalid-config', message, { name, value });
  }
}

/**
 * The known name that a mistaken one is closest to, by insertions, deletions and replacements (Levenshtein) whatever the case; undefined
 * where all are more than two of them away (one, of a name of three letters) and more than a third of its letters.
 *
 * @example
 * ```ts
 * import { nearestName } from '@hip/mask-search';
 * console.log(nearestName('windw', ['window', 'sink'])); // => window
 * ```
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const most = name.length < 4 ? 1 : Math.max(2, name.length / 3);
  const far = known.map((each) => distance(name.toLowerCase(), each.toLowerCase()));
  const least = Math.min(...far);
  return least <= most ? known[far.indexOf(least)] : undefined;
}

function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = above[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      line.push(Math.min(replaced, above[column]! + 1, line[column - 1]! + 1));
    }
    above = line;
  }
  return above[b.length]!;
}
