// Values as JSON: numbers that JSON has no word for are written as text, so that a file gives back what was measured.
import { SearchError } from '../errors.ts';

type Values = Readonly<Record<string, unknown>>;

const WORDS: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

/** Values that JSON keeps: `NaN` and ±`Infinity` as text, where JSON would make `null` of them. */
export function encodeValues(values: Values): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ]),
  );
}

/** The inverse of {@link encodeValues}. */
export function decodeValues(values: Values): Record<string, number> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, WORDS.has(value) ? WORDS.get(value)! : value]),
  ) as Record<string, number>;
}

/**
 * What was measured, without the names of which nothing was said (`undefined`).
 *
 * @param whose for the message, e.g. "trial 7"
 * @throws SearchError `measurement-failed` naming a value that cannot be kept: a BigInt, a function, something circular
 */
export function keepableValues(values: Values, whose: string): Record<string, number> {
  const known = Object.entries(values).filter(([, value]) => value !== undefined);
  for (const [name, value] of known) {
    const problem = typeof value === 'bigint' ? 'a BigInt: convert it with Number()' : notKeepable(value);
    if (problem === undefined) continue;
    throw new SearchError('measurement-failed', `${whose}: ${name} is ${String(value)}, ${problem}`, { name, value });
  }
  return Object.fromEntries(known) as Record<string, number>;
}

function notKeepable(value: unknown): string | undefined {
  try {
    return JSON.stringify(value) === undefined ? 'which JSON cannot keep: give a number' : undefined;
  } catch {
    return 'which JSON cannot keep (a BigInt or a circle in it): give a number';
  }
}

/**
 * JSON of what a study must remember.
 *
 * @throws SearchError `invalid-option` where JSON has no word for it
 */
export function jsonOf(value: unknown, what: string): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw new SearchError(
      'invalid-option',
      `${what} cannot be kept as JSON (${(error as Error).message}): use numbers instead of BigInts, and nothing that holds itself`,
      { what },
      { cause: error },
    );
  }
}
