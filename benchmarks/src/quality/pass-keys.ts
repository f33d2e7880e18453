// Pass-key windows: facts hidden in a book, and the questions asked at the end of every length.
import type { TextTokenizer } from '@instatune/supernet';
import { generator } from './random.ts';

/** Lengths T at which perplexity and pass-key accuracy are taken. */
export const LENGTHS = [4096, 8192, 16_384, 32_768] as const;

export interface Question {
  /** Prose, question and the five digits. */
  readonly ids: readonly number[];
  /** Index of the first digit in `ids`. */
  readonly digits: number;
}

export interface PassKeyWindow {
  /** The book with facts written over it. */
  readonly ids: Int32Array;
  /** By length: the context is ids[0 … context), the questions follow it one after the other up to the length. */
  readonly rounds: readonly {
    readonly tokens: number;
    readonly context: number;
    readonly questions: readonly Question[];
  }[];
}

export const NOUNS: readonly string[] =
  'amber birch cedar delta ember fern garnet harbor indigo jasper kettle lantern maple needle orchard pebble quartz river saddle timber umber velvet willow yarrow anchor bramble copper dagger falcon glacier hammer ivory'.split(
    ' ',
  );
/** Tokens of prose and question together: no 64-row query block holds two questions, as none would at the end of a text. */
const SEGMENT = 96;
const DIGITS = 5;

/**
 * @param book tokens of a text the model never saw; at least max(lengths) + 4,096 of them
 * @param perLength questions per length, a multiple of 8
 *
 * The facts are stratified: half of a length's questions ask for facts of its second half, a quarter for its second quarter, and so on,
 * so positions are uniform and one prefill serves every length. Facts never overlap.
 */
export function passKeyWindow(
  book: readonly number[],
  tokenizer: TextTokenizer,
  {
    lengths,
    perLength,
    seed,
  }: { readonly lengths: readonly number[]; readonly perLength: number; readonly seed: number },
): PassKeyWindow {
  const random = generator(seed);
  const integer = (below: number): number => Math.floor(random() * below);
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const longest = lengths.at(-1)!;
  const start = integer(book.length - longest - 4096);
  const ids = Int32Array.from(book.slice(start, start + longest));
  const prose = book.slice(start + longest, start + longest + 4096);
  const used = new Set<string>();
  const occupied: [number, number][] = [];
  const question = (words: string, digits: string): Question => {
    const tail = encode(` What is the pass key for ${words}? The pass key for ${words} is ${digits}`);
    const at = integer(prose.length - SEGMENT);
    const asked = [...prose.slice(at, at + SEGMENT - tail.length), ...tail];
    return { ids: asked, digits: asked.length - DIGITS };
  };
  const room = perLength * SEGMENT;
  const strata: Question[][] = [];
  let before = 0;
  for (const tokens of lengths) {
    const end = tokens - room;
    const facts: Question[] = [];
    for (let i = 0; i < perLength; i++) {
      let words: string;
      do words = `${NOUNS[integer(NOUNS.length)]} ${NOUNS[integer(NOUNS.length)]}`;
      while (used.has(words));
      used.add(words);
      const digits = String(10_000 + integer(90_000));
      const fact = encode(` The pass key for ${words} is ${digits}. Remember it.`);
      let at: number;
      do at = before + integer(end - before - fact.length);
      while (occupied.some(([from, to]) => at < to && at + fact.length > from));
      occupied.push([at, at + fact.length]);
      ids.set(fact, at);
      facts.push(question(words, digits));
    }
    strata.push(facts);
    before = end;
  }
  const rounds = lengths.map((tokens, i) => {
    const questions: Question[] = [];
    for (let stratum = i, share = perLength / (i === 0 ? 1 : 2); stratum >= 0; stratum--) {
      questions.push(...strata[stratum]!.slice(0, share));
      if (stratum > 1) share /= 2;
    }
    return { tokens, context: tokens - room, questions };
  });
  return { ids, rounds };
}
