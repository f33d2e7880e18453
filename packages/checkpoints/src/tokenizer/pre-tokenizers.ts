// Pre-tokenisers of tokenizer.json: what cuts a text before the vocabulary does, as the Rust library has it.

import { quoted } from '../quote.ts';
import { ByteLevelPreTokenizer } from './library.ts';
import { SPACE, compilePattern, contentOf, requirePart, requireParts, wrong } from './patterns.ts';
import type { Part } from './patterns.ts';

/** Cuts a text. @param isFirst - whether it begins the whole text */
export type PreTokenize = (text: string, isFirst: boolean) => readonly string[];

const PUNCTUATION = String.raw`[\p{P}!-/:-@\[-\x60{-~]`;
const WORD = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]`;
const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;

type Behavior = (typeof BEHAVIORS)[number];

/** Reads a pre-tokeniser. @throws CheckpointError `tokenizer` for one that is not known */
export function readPreTokenizer(json: unknown): PreTokenize {
  if (json === undefined || json === null) return (text) => [text];
  const part = requirePart(json, 'pre_tokenizer');
  switch (part['type']) {
    case 'Sequence': {
      const all = requireParts(part, 'pretokenizers').map(readPreTokenizer);
      return (text, isFirst) =>
        all.reduce<readonly string[]>(
          (pieces, cut) => pieces.flatMap((piece, i) => cut(piece, isFirst && i === 0)),
          [text],
        );
    }
    case 'BertPreTokenizer':
      return matches(`(?:(?!${PUNCTUATION})\\P{White_Space})+|${PUNCTUATION}`);
    case 'Whitespace':
      return matches(`${WORD}+|(?:(?!${WORD})\\P{White_Space})+`);
    case 'WhitespaceSplit':
      return matches(String.raw`\P{White_Space}+`);
    case 'Punctuation':
      return cutter(new RegExp(PUNCTUATION, 'gu'), behaviorOf(part, 'Isolated'));
    case 'Digits':
      return cutter(/\p{N}/gu, part['individual_digits'] === true ? 'Isolated' : 'Contiguous');
    case 'Split':
      return cutter(compilePattern(part['pattern']), behaviorOf(part), part['invert'] === true);
    case 'CharDelimiterSplit':
      return cutter(compilePattern({ String: part['delimiter'] }), 'Removed');
    case 'Metaspace':
      return metaspace(part);
    case 'ByteLevel':
      return byteLevel(part);
    case 'Replace': {
      const pattern = compilePattern(part['pattern']);
      const content = contentOf(part);
      return (text) => [text.replaceAll(pattern, () => content)];
    }
    case 'FixedLength':
      return fixedLength(part);
    default:
      throw wrong(`the pre-tokenizer ${quoted(part['type'])} is not read`, { type: part['type'] });
  }
}

function matches(source: string): PreTokenize {
  const pattern = new RegExp(source, 'gu');
  return (text) => text.match(pattern) ?? [];
}

function behaviorOf(part: Part, fallback?: Behavior): Behavior {
  const value = part['behavior'] ?? fallback;
  const wanted = typeof value === 'string' ? value.toLowerCase() : '';
  const behavior = BEHAVIORS.find((name) => name.toLowerCase() === wanted);
  if (!behavior) throw wrong(`behavior is ${quoted(value)}, expected ${BEHAVIORS.join(', ')}`);
  return behavior;
}

/** Cuts at the matches of a pattern (`isInverted`: at what is between them). */
function cutter(pattern: RegExp, behavior: Behavior, isInverted = false): PreTokenize {
  return (text) => {
    const parts: { readonly text: string; readonly isCut: boolean }[] = [];
    const push = (from: number, to: number, isMatch: boolean) => {
      if (to > from) parts.push({ text: text.slice(from, to), isCut: isMatch !== isInverted });
    };
    let at = 0;
    for (const match of text.matchAll(pattern)) {
      push(at, match.index, false);
      at = match.index + match[0].length;
      push(match.index, at, true);
    }
    push(at, text.length, false);
    return join(parts, behavior);
  };
}

function join(parts: readonly { readonly text: string; readonly isCut: boolean }[], behavior: Behavior): string[] {
  if (behavior === 'Removed') return parts.flatMap(({ text, isCut }) => (isCut ? [] : [text]));
  const pieces: string[] = [];
  for (const [i, { text, isCut }] of parts.entries()) {
    const before = parts[i - 1];
    const joins =
      before !== undefined &&
      ((behavior === 'Contiguous' && before.isCut === isCut) ||
        (behavior === 'MergedWithPrevious' && isCut && !before.isCut) ||
        (behavior === 'MergedWithNext' && before.isCut && !isCut));
    if (joins) pieces[pieces.length - 1] += text;
    else pieces.push(text);
  }
  return pieces;
}

function metaspace(part: Part): PreTokenize {
  const { replacement = '▁', split = true } = part;
  if (typeof replacement !== 'string' || replacement === '') {
    throw wrong(`replacement is ${quoted(replacement)}, expected a character`);
  }
  const scheme = part['prepend_scheme'] ?? (part['add_prefix_space'] === false ? 'never' : 'always');
  const cut = cutter(compilePattern({ String: replacement }), 'MergedWithNext');
  return (text, isFirst) => {
    const replaced = text.replaceAll(' ', () => replacement);
    const prepends = (scheme === 'always' || (scheme === 'first' && isFirst)) && !replaced.startsWith(replacement);
    const whole = prepends ? replacement + replaced : replaced;
    return split === false ? [whole] : cut(whole, isFirst);
  };
}

function byteLevel(part: Part): PreTokenize {
  const words = new RegExp(
    `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
    'gu',
  );
  const bytes = new ByteLevelPreTokenizer({
    type: 'ByteLevel',
    add_prefix_space: false,
    use_regex: false,
  });
  return (text) => {
    const whole = part['add_prefix_space'] === true && !text.startsWith(' ') ? ` ${text}` : text;
    const pieces = part['use_regex'] === false ? [whole] : (whole.match(words) ?? []);
    return pieces.flatMap((piece) => bytes.pre_tokenize_text(piece));
  };
}

function fixedLength(part: Part): PreTokenize {
  const { length } = part;
  if (!Number.isInteger(length) || (length as number) < 1)
    throw wrong(`length is ${quoted(length)}, expected an integer ≥ 1`);
  const size = length as number;
  return (text) => {
    const letters = Array.from(text);
    return Array.from({ length: Math.ceil(letters.length / size) }, (_, i) =>
      letters.slice(i * size, (i + 1) * size).join(''),
    );
  };
}
