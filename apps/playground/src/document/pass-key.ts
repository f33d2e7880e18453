// A pass-key: a fact that no text foretells, hidden between two sentences, and asked for at the end.
import type { PassKey } from './protocol.ts';

/** Words that the bundled model was trained with (docs/guide/benchmarks.md, pass-keys). */
const NOUNS =
  'amber birch cedar delta ember fern garnet harbor indigo jasper kettle lantern maple needle orchard pebble quartz river saddle timber'.split(
    ' ',
  );
const DIGITS = 5;

/**
 * A paragraph of its own, that says it in both orders (as Mohtashami and Jaggi 2023 do), and asked for by its own beginning: models that were
 * never trained on such continue it, which few do with a question in running text; the bundled one, which was, finds either
 * (benchmarks: playground, part `pass-key`).
 *
 * @param random - in [0, 1). @defaultValue Math.random
 */
export function newPassKey(depth: number, random: () => number = Math.random): PassKey {
  const take = <T>(from: T[]): T => from.splice(Math.floor(random() * from.length), 1)[0]!;
  const nouns = [...NOUNS];
  const name = `${take(nouns)} ${take(nouns)}`;
  // All different: to copy "66" a model would have to count, which small ones get wrong with any attention.
  const figures = '0123456789'.split('');
  const digits = Array.from({ length: DIGITS }, () => take(figures)).join('');
  return {
    sentence: `\n\nThe pass key for ${name} is ${digits}. Remember it. ${digits} is the pass key for ${name}.\n\n`,
    question: `\n\nThe pass key for ${name} is`,
    digits,
    depth,
  };
}

/** The place in a text for a fact: the end of the first sentence or line from a share of it on, else the share itself. */
export function placeFor(text: string, depth: number): number {
  const wanted = Math.floor(depth * text.length);
  const end = /[.!?][”’"')]*(?=\s)|(?=\n)/g;
  end.lastIndex = wanted;
  const found = end.exec(text);
  return found ? found.index + found[0].length : wanted;
}

/** Whether an answer begins with the digits, spaces between them or not. */
export function isRightAnswer(text: string, { digits }: Pick<PassKey, 'digits'>): boolean {
  return text.replaceAll(/\s/g, '').startsWith(digits);
}
