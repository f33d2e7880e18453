// JSON (RFC 8259) as fragments. Of all spellings those are there that models write: little space, numbers of 15 digits.
import { EVERY, intersect, rangesOf, type CodePoints } from './code-points.ts';
import { characters, choice, literal, optional, repeat, rule, sequence } from './fragments.ts';
import type { Fragment } from './network.ts';

/** Nothing, a space, or a new line and indentation: enough for every style, and not without end. */
export const space: Fragment = rule('space', () =>
  optional(choice(literal(' '), sequence(literal('\n'), repeat(literal(' '), 0, 32)))),
);

export const digit: Fragment = characters([[0x30, 0x39]]);
const digit19: Fragment = characters([[0x31, 0x39]]);
const hex: Fragment = characters([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);

/** Digits that a double keeps. */
export const MOST_DIGITS = 15;

/** Whole numbers below 10^15. */
export const natural: Fragment = choice(literal('0'), sequence(digit19, repeat(digit, 0, MOST_DIGITS - 1)));
export const fraction: Fragment = sequence(literal('.'), repeat(digit, 1, MOST_DIGITS));
export const integer: Fragment = rule('integer', () => sequence(optional(literal('-')), natural));
export const number: Fragment = rule('number', () => {
  const exponent = sequence(
    choice(literal('e'), literal('E')),
    optional(choice(literal('-'), literal('+'))),
    repeat(digit, 1, 2),
  );
  return sequence(optional(literal('-')), natural, optional(fraction), optional(exponent));
});

/** Escapes that must be: quote, backslash, control characters. */
const SHORT: Readonly<Record<number, string>> = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 34: '"', 92: '\\' };

/** One of these characters, as a string of JSON has it. */
export function stringCharacters(points: CodePoints): Fragment {
  const ranges = rangesOf(points);
  const plain = intersect(ranges, [
    [0x20, 0x21],
    [0x23, 0x5b],
    [0x5d, 0x10ffff],
  ]);
  const escaped = [...Array.from({ length: 32 }, (_, point) => point), 34, 92].filter((point) =>
    ranges.some(([low, high]) => point >= low && point <= high),
  );
  const escapes = escaped.map((point) => literal(`\\${SHORT[point] ?? `u${point.toString(16).padStart(4, '0')}`}`));
  return choice(...(plain.length > 0 ? [characters(plain)] : []), ...escapes);
}

/** Any character of a string, however it is spelled; not half of a pair. */
export const character: Fragment = rule('character', () => {
  const high = sequence(literal('D'), characters([[0x30, 0x37]]), hex, hex);
  const other = sequence(
    characters([
      [0x30, 0x39],
      [0x41, 0x43],
      [0x45, 0x46],
      [0x61, 0x63],
      [0x65, 0x66],
    ]),
    hex,
    hex,
    hex,
  );
  return choice(
    stringCharacters(EVERY),
    literal('\\/'),
    sequence(literal('\\u'), choice(other, high, sequence(literal('d'), characters([[0x30, 0x37]]), hex, hex))),
  );
});

const quote = literal('"');

export function quoted(inside: Fragment): Fragment {
  return sequence(quote, inside, quote);
}

export const string: Fragment = rule('string', () => quoted(repeat(character, 0, Infinity)));

/** Items between brackets, with commas and space between them. */
export function list(open: string, item: Fragment, least: number, most: number, close: string): Fragment {
  if (most === 0) return sequence(literal(open), space, literal(close));
  const further = repeat(sequence(literal(','), space, item), Math.max(0, least - 1), most - 1);
  const some = sequence(item, further, space);
  return sequence(literal(open), space, least === 0 ? optional(some) : some, literal(close));
}

/** Any object. */
export const anyObject: Fragment = rule('object', () => list('{', member(string, value), 0, Infinity, '}'));

/** Any value. */
export const value: Fragment = rule('value', () =>
  choice(
    anyObject,
    rule('array', () => list('[', value, 0, Infinity, ']')),
    string,
    number,
    literal('true'),
    literal('false'),
    literal('null'),
  ),
);

/** A key and its value. */
export function member(key: Fragment, content: Fragment): Fragment {
  return sequence(key, literal(':'), space, content);
}

/** A value as it is. */
export function literalOf(constant: unknown): Fragment {
  return literal(JSON.stringify(constant));
}
