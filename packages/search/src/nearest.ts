// The name that was meant: for options that do not exist.
import { closest, distance } from 'fastest-levenshtein';
import { SearchError } from './errors.ts';

/** The known name closest to a mistaken one, if it is close at all. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const begun = known.find((one) => one.length > 2 && name.toLowerCase().startsWith(one.toLowerCase()));
  const best = begun ?? closest(name.toLowerCase(), known);
  return (
    begun ?? (distance(name.toLowerCase(), best.toLowerCase()) <= Math.max(1, 0.4 * name.length) ? best : undefined)
  );
}

/**
 * Refuses an option that nobody would read.
 *
 * @param whose for the message, e.g. "runSearch"
 * @throws SearchError `invalid-option` with the nearest name
 */
export function checkNames(whose: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const meant = nearest(name, known);
    throw new SearchError(
      'invalid-option',
      `${whose} has no option "${name}"${meant === undefined ? '' : ` (did you mean ${meant}?)`}: use ${known.join(', ')}`,
      { name, known },
    );
  }
}
