// Questions about what is hidden in a book: pass-keys, and tasks like those of RULER (arXiv 2404.06654 §3), from a seed.
import type { TextTokenizer } from '@instatune/supernet';
import { NOUNS } from '../quality/pass-keys.ts';
import { generator } from '../quality/random.ts';

/** A question after the context, with its answer; what is asked for are tokens [from, to) of `ids`, one pair an item. */
export interface Question {
  readonly ids: Int32Array;
  readonly items: readonly (readonly [from: number, to: number])[];
}

/** A context and the questions about it, each asked by itself: context and one question are `tokens` tokens at most. */
export interface Task {
  readonly context: Int32Array;
  readonly questions: readonly Question[];
}

/** Something that is written into the book, and a question: words, then items of the answer, `between` them and at the end. */
interface Story {
  readonly facts: readonly string[];
  readonly questions: readonly { readonly words: string; readonly items: readonly string[] }[];
}

interface Dice {
  readonly integer: (below: number) => number;
  /** Different ones. */
  readonly names: (count: number) => string[];
  readonly digits: () => string;
}

/** What is told and asked, by name. `needles`: four facts, all asked for at once. `values`: four values of one name. `chain`: four names that stand for each other. */
export const TASKS = {
  'pass-key, 1 fact': (dice) => passKeys(dice, 1),
  'pass-key, 4 facts': (dice) => passKeys(dice, 4),
  needles(dice) {
    const names = dice.names(4);
    const values = names.map(() => dice.digits());
    const facts = names.map((name, i) => ` The pass key for ${name} is ${values[i]}. Remember it.`);
    const words = ` What are the pass keys for ${names.join(', ')}? In this order they are`;
    return { facts, questions: [{ words, items: values }] };
  },
  values(dice) {
    const [name] = dice.names(1);
    const values = Array.from({ length: 4 }, () => dice.digits());
    const facts = values.map((value) => ` One of the pass keys for ${name} is ${value}. Remember it.`);
    const words = ` What are the four pass keys for ${name}? From first to last they are`;
    return { facts, questions: [{ words, items: values }] };
  },
  chain(dice) {
    const names = dice.names(4);
    const value = dice.digits();
    const facts = names.map((name, i) =>
      i === 0
        ? ` The pass key for ${name} is ${value}. Remember it.`
        : ` The pass key for ${name} is that for ${names[i - 1]}. Remember it.`,
    );
    const words = ` What is the pass key for ${names.at(-1)}? The pass key for ${names.at(-1)} is`;
    return { facts, questions: [{ words, items: [value] }] };
  },
  'frequent words'(dice) {
    const words = dice.names(9).map((name) => name.replace(' ', ''));
    // The three most frequent stand 12, 9 and 6 times, each of the others twice.
    const counts = words.map((_, i) => [12, 9, 6][i] ?? 2);
    const facts = words.flatMap((word, i) => Array.from({ length: counts[i]! }, () => ` Note the word ${word}.`));
    const asked = ' Which three words were noted most often? From the most frequent on they are';
    return { facts: shuffled(facts, dice), questions: [{ words: asked, items: words.slice(0, 3) }] };
  },
} satisfies Record<string, (dice: Dice) => Story>;

export type TaskName = keyof typeof TASKS;

function passKeys(dice: Dice, count: number): Story {
  const names = dice.names(count);
  const values = names.map(() => dice.digits());
  return {
    facts: names.map((name, i) => ` The pass key for ${name} is ${values[i]}. Remember it.`),
    questions: names.map((name, i) => ({
      words: ` What is the pass key for ${name}? The pass key for ${name} is`,
      items: [values[i]!],
    })),
  };
}

/** Fisher–Yates. */
function shuffled<T>(list: readonly T[], { integer }: Dice): T[] {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i--) {
    const j = integer(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** Prose between the context's end and a question: what is asked for never lies in the question's window. */
const PROSE = 64;

/**
 * @param book tokens of a text; a window of it is chosen by the seed
 * @param tokens of context and longest question together
 * @throws where the facts need more than a quarter of the window, or a tokenizer that joins words and answers
 */
export function taskOf(
  name: TaskName,
  book: readonly number[],
  tokenizer: TextTokenizer,
  { tokens, seed }: { readonly tokens: number; readonly seed: number },
): Task {
  const random = generator(seed);
  const integer = (below: number): number => Math.floor(random() * below);
  const names = (count: number): string[] => {
    const found = new Set<string>();
    while (found.size < count) found.add(`${NOUNS[integer(NOUNS.length)]} ${NOUNS[integer(NOUNS.length)]}`);
    return [...found];
  };
  const story: Story = TASKS[name]({ integer, names, digits: () => String(10_000 + integer(90_000)) });
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const asked = story.questions.map(({ words, items }) => questionOf(words, items, encode));
  const room = PROSE + Math.max(...asked.map(({ ids }) => ids.length));
  if (book.length < tokens) throw new Error(`the book has ${book.length} tokens: give at least ${tokens}`);
  const start = integer(book.length - tokens + 1);
  const context = Int32Array.from(book.slice(start, start + tokens - room));
  const prose = book.slice(start + tokens - room, start + tokens - room + PROSE);
  place(story.facts.map(encode), context, integer);
  const questions = asked.map(({ ids, items }) => ({
    ids: Int32Array.of(...prose, ...ids),
    items: items.map(([from, to]) => [from + PROSE, to + PROSE] as const),
  }));
  return { context, questions };
}

/** Writes facts over the context, in their order, at random places of even spread: one in each of as many equal parts. */
function place(facts: readonly number[][], context: Int32Array, integer: (below: number) => number): void {
  const total = facts.reduce((sum, fact) => sum + fact.length, 0);
  if (4 * total > context.length)
    throw new Error(`${total} tokens of facts in ${context.length}: give a context at least four times as long`);
  const part = context.length / facts.length;
  for (const [i, fact] of facts.entries()) {
    const from = Math.floor(i * part);
    context.set(fact, from + integer(Math.max(1, Math.floor((i + 1) * part) - from - fact.length)));
  }
}

function questionOf(words: string, items: readonly string[], encode: (text: string) => number[]): Question {
  let text = words;
  let ids = encode(text);
  const pairs: [number, number][] = [];
  for (const [i, item] of items.entries()) {
    text += `${i > 0 ? ',' : ''} ${item}`;
    const next = encode(text);
    if (ids.some((id, at) => next[at] !== id)) throw new Error(`the tokenizer joins "${words}" and "${item}"`);
    // The comma is nothing to know.
    const separator = encode(text.slice(0, text.length - item.length).trimEnd()).length;
    pairs.push([separator, next.length]);
    ids = next;
  }
  return { ids: Int32Array.from(ids), items: pairs };
}
