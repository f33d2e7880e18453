// Regular expressions (ECMA-262, by @eslint-community/regexpp) as fragments: what a finite automaton can read of them.
import { RegExpParser, type AST } from '@eslint-community/regexpp';
import { LlmError } from '../errors.ts';
import { complement, EVERY, rangesOf, type CodePoints } from './code-points.ts';
import { characters, choice, empty, repeat, sequence } from './fragments.ts';
import type { Fragment } from './network.ts';

/** How the characters of a text are spelled where the expression stands. */
type Spelling = (points: CodePoints) => Fragment;

const NEWLINES: CodePoints = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
const SETS: Readonly<Record<'digit' | 'space' | 'word', CodePoints>> = {
  digit: [[0x30, 0x39]],
  space: [
    [9, 13],
    [32, 32],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
    [0x2028, 0x2029],
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
  ],
  word: [
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f],
    [0x61, 0x7a],
  ],
};

/**
 * Texts in which an expression is found: anywhere, unless `^` and `$` hold its ends.
 *
 * @param spelling - of the characters @throws LlmError `invalid-input` for what is no expression, and for what no automaton reads
 */
export function regexFragment(source: string, spelling: Spelling = characters): Fragment {
  let pattern: AST.Pattern;
  try {
    pattern = new RegExpParser({ ecmaVersion: 2024 }).parsePattern(source, 0, source.length, { unicode: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new LlmError(
      'invalid-input',
      `pattern ${JSON.stringify(source)}: ${reason}`,
      { name: 'pattern', source },
      { cause },
    );
  }
  const any = repeat(spelling(EVERY), 0, Infinity);
  const alternatives = pattern.alternatives.map(({ elements }) => {
    const isHeld = (at: number, kind: 'start' | 'end') => {
      const element = elements.at(at);
      return element?.type === 'Assertion' && element.kind === kind;
    };
    const [first, last] = [isHeld(0, 'start'), isHeld(-1, 'end')];
    const inner = elements
      .slice(first ? 1 : 0, last ? -1 : undefined)
      .map((element) => part(element, source, spelling));
    return sequence(first ? empty : any, ...inner, last ? empty : any);
  });
  return choice(...alternatives);
}

function part(element: AST.Element, source: string, spelling: Spelling): Fragment {
  const alternatives = (all: readonly AST.Alternative[]) =>
    choice(...all.map(({ elements }) => sequence(...elements.map((inner) => part(inner, source, spelling)))));
  switch (element.type) {
    case 'Character':
      return spelling([[element.value, element.value]]);
    case 'CharacterSet':
      return spelling(setOf(element, source));
    case 'CharacterClass': {
      const inside = rangesOf(element.elements.flatMap((inner) => classElement(inner, source)));
      return spelling(element.negate ? complement(inside) : inside);
    }
    case 'Group':
      if (element.modifiers) throw refused(source, 'a group with flags');
      return alternatives(element.alternatives);
    case 'CapturingGroup':
      return alternatives(element.alternatives);
    case 'Quantifier':
      return repeat(part(element.element, source, spelling), element.min, element.max);
    case 'Assertion':
      throw refused(source, `${element.raw} inside`);
    default:
      throw refused(source, element.raw);
  }
}

function classElement(
  element: AST.ClassRangesCharacterClassElement | AST.CharacterClassElement,
  source: string,
): CodePoints {
  switch (element.type) {
    case 'Character':
      return [[element.value, element.value]];
    case 'CharacterClassRange':
      return [[element.min.value, element.max.value]];
    case 'CharacterSet':
      return setOf(element, source);
    default:
      throw refused(source, element.raw);
  }
}

function setOf(set: AST.CharacterSet, source: string): CodePoints {
  if (set.kind === 'any') return complement(NEWLINES);
  if (set.kind === 'property') throw refused(source, set.raw);
  return set.negate ? complement(SETS[set.kind]) : SETS[set.kind];
}

function refused(source: string, what: string): LlmError {
  const message = `pattern ${JSON.stringify(source)}: ${what} cannot be held to while a text is written; use characters, classes, groups, | and counts`;
  return new LlmError('invalid-input', message, { name: 'pattern', source });
}
