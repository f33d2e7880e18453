// A long text with pass-keys hidden in it, and the questions about them: what a model must find again far back.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom, type TextTokenizer } from '@instatune/supernet';
import type { PassKeys } from './result.ts';

/** The beginning of Moby-Dick, in the public domain: a novel, as the committed model was trained on, but none that it has seen. */
const NOVEL = join(import.meta.dirname, '../../text/moby-dick.txt');
export const NOVEL_NAME = 'the first chapters of Moby-Dick';

const NOUNS =
  'amber birch cedar delta ember fern garnet harbor indigo jasper kettle lantern maple needle orchard pebble quartz river saddle timber'.split(
    ' ',
  );
/** Where the facts stand, as shares of the text: none among the last tokens, which every kind of attention sees. */
const DEPTHS = [0.06, 0.3, 0.54, 0.78];
/** Tokens of text a fact needs around it. */
const ROOM = 96;
const DIGITS = 5;
/** Characters of text shown on either side of a fact. */
const SHOWN = 160;

export type PassKey = PassKeys['keys'][number];

export interface PassKeyText {
  readonly ids: Int32Array;
  /** In the order of the text. */
  readonly keys: PassKey[];
}

export const readNovel = (): string => readFileSync(NOVEL, 'utf8');

/**
 * Hides pass-keys in the beginning of a text, each after a sentence. The words are those the committed model was trained with.
 *
 * @param tokens - of the text and one question together, at most
 * @returns no keys where the text or `tokens` are too short for one
 */
export function hidePassKeys(
  text: string,
  tokenizer: TextTokenizer,
  { tokens, seed }: { readonly tokens: number; readonly seed: number },
): PassKeyText {
  const encode = (part: string): number[] => tokenizer.encode(part, { addSpecialTokens: false });
  const random = new SeededRandom(seed);
  const below = (count: number): number => Math.floor(random.next() * count);
  const nouns = [...NOUNS];
  const noun = (): string => nouns.splice(below(nouns.length), 1)[0]!;
  const book = encode(text.slice(0, 8 * tokens));
  const count = Math.min(DEPTHS.length, Math.floor(Math.min(tokens, book.length) / ROOM) - 1);
  if (count < 1) return { ids: new Int32Array(0), keys: [] };
  const facts = DEPTHS.slice(0, count).map((depth) => {
    const name = `${noun()} ${noun()}`;
    // All different: to copy "66" the model would have to count, which one of this size gets wrong with any attention.
    const figures = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    const digits = Array.from({ length: DIGITS }, () => figures.splice(below(figures.length), 1)[0]!).join('');
    const sentence = ` The pass key for ${name} is ${digits}. Remember it.`;
    const question = ` What is the pass key for ${name}? The pass key for ${name} is`;
    return { depth, key: { name, digits, sentence, question } };
  });
  const taken = facts.reduce((sum, { key }) => sum + encode(key.sentence).length, 0);
  const longest = Math.max(...facts.map(({ key }) => encode(key.question).length));
  const room = Math.min(tokens - longest - DIGITS - 1 - taken, book.length);
  const prose = tokenizer.decode(book.slice(0, room));
  const ends = [...prose.matchAll(/[.!?][”’"')]*(?=\s)|[;{}]?(?=\n)/g)].map(({ index, 0: end }) => index + end.length);
  const ids: number[] = [];
  let from = 0;
  const placed = facts.map(({ depth, key }) => {
    const wanted = depth * prose.length;
    const at = ends.find((end) => end >= wanted) ?? Math.floor(wanted);
    ids.push(...encode(prose.slice(from, at) + key.sentence));
    from = at;
    const before = prose.slice(Math.max(0, at - SHOWN), at).replace(/^\S*\s/, '');
    const after = prose.slice(at, at + SHOWN).replace(/\s\S*$/, '');
    return { key: { ...key, before, after }, end: ids.length };
  });
  ids.push(...encode(prose.slice(from)));
  return {
    ids: Int32Array.from(ids),
    keys: placed.map(({ key, end }) => ({ ...key, distance: ids.length - end })),
  };
}
