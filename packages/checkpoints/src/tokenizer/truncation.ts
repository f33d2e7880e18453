// Which text of a pair is cut, and to how many tokens, where both are too long together.
import { CheckpointError } from '../errors.ts';

/**
 * transformers' strategies: `longest_first` cuts the longer text to the other's length and then both, `only_first` and `only_second`
 * cut one, `do_not_truncate` none.
 */
export type Truncation = 'longest_first' | 'only_first' | 'only_second' | 'do_not_truncate';

/** Every {@link Truncation}. */
export const TRUNCATIONS: readonly Truncation[] = ['longest_first', 'only_first', 'only_second', 'do_not_truncate'];

/**
 * Tokens to keep of two texts of `first` and `second` tokens (of one, `second` is 0) in `room`, as the tokenizers library cuts them. No
 * text is lost: one that has tokens keeps one at least.
 *
 * @throws CheckpointError `tokenizer` where the room is too small for that
 */
export function keptTokens(
  [first, second]: readonly [number, number],
  room: number,
  truncation: Truncation,
): readonly [number, number] {
  const excess = first + second - room;
  if (excess <= 0 || truncation === 'do_not_truncate') return [first, second];
  const kept = {
    longest_first: () => longestFirst(first, second, room),
    only_first: () => [first - excess, second] as const,
    only_second: () => [first, second - excess] as const,
  }[truncation]();
  const isLost = (tokens: number, left: number): boolean => left < Math.min(1, tokens);
  if (!isLost(first, kept[0]) && !isLost(second, kept[1])) return kept;
  throw new CheckpointError(
    'tokenizer',
    `texts of ${first} and ${second} tokens do not fit into ${room} by ${truncation}: a text would be lost. Give more maxTokens, or cut the other one`,
    { first, second, room, truncation },
  );
}

function longestFirst(first: number, second: number, room: number): readonly [number, number] {
  const short = Math.min(first, second);
  const half = Math.floor(room / 2);
  // Both are cut where the shorter has more than half; of an odd room the longer has the one more.
  const [less, more] = short > half ? [half, room - half] : [short, room - short];
  return first > second ? [more, less] : [less, more];
}
