// Pass-keys in a long prompt: whether the question at its end finds them, by how its rows attend.
import type { TextTokenizer } from '@instatune/supernet';
import { dispose, type Runner } from './sessions.ts';

const NAME = 'amber lantern';
/** All figures of a number are different: to copy two alike is harder for small models with any attention. */
const DIGITS = ['42907', '58316', '70491', '36825'];
/** Tokens of an answer. */
const ANSWER = 8;

/** A book with a fact in it and the question behind it: one prompt. */
export interface PassKey {
  readonly ids: Int32Array;
  readonly digits: string;
  /** Part of the text before the fact. */
  readonly depth: number;
}

/** @param seed - chooses digits */
export function passKeyOf(
  book: Int32Array,
  tokenizer: TextTokenizer,
  { tokens, depth, seed }: { readonly tokens: number; readonly depth: number; readonly seed: number },
): PassKey {
  const digits = DIGITS[seed % DIGITS.length]!;
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  // As the playground hides and asks for it.
  const fact = encode(
    `\n\nThe pass key for ${NAME} is ${digits}. Remember it. ${digits} is the pass key for ${NAME}.\n\n`,
  );
  const question = encode(`\n\nThe pass key for ${NAME} is`);
  const room = tokens - question.length - ANSWER;
  const context = book.slice(0, room);
  context.set(fact, Math.round(depth * (room - fact.length)));
  return { ids: Int32Array.of(...context, ...question), digits, depth };
}

/** Asks for the digits, greedily, behind one prompt. */
export async function passKeyRow(
  runner: Runner,
  { ids, digits, depth }: PassKey,
  tokenizer: TextTokenizer,
): Promise<Record<string, unknown>> {
  const start = performance.now();
  let { logits, present } = await runner.step(ids, undefined, 1);
  const prefillMs = performance.now() - start;
  const answer: number[] = [];
  const steps: number[] = [];
  for (;;) {
    const next = largest(logits.data as Float32Array, logits.dims.at(-1)!);
    answer.push(next);
    if (answer.length === ANSWER) break;
    const before = present;
    const from = performance.now();
    ({ logits, present } = await runner.step(Int32Array.of(next), before, 1));
    steps.push(performance.now() - from);
    dispose(before);
  }
  dispose(present);
  const said = tokenizer.decode(answer);
  return {
    part: 'pass-key',
    session: runner.name,
    tokens: ids.length,
    depth,
    digits,
    found: said.includes(digits),
    answer: said.replaceAll(/\s+/g, ' '),
    prefillMs: Math.round(prefillMs),
    tokenMs: Number(steps.toSorted((a, b) => a - b)[steps.length >> 1]!.toPrecision(4)),
  };
}

/** Of the last row. */
function largest(logits: Float32Array, vocabulary: number): number {
  const row = logits.subarray(logits.length - vocabulary);
  return row.reduce((best, value, id) => (value > row[best]! ? id : best), 0);
}
