// The choices of a request, written side by side.
import type { GeneratedToken } from '../generation/options.ts';
import type { Usage } from '../chat/types.ts';

/** Text that became certain, and the tokens since the piece before it. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly GeneratedToken[];
}

/** What happens to a choice. */
export type ChoiceEvent =
  | { readonly type: 'piece'; readonly index: number; readonly piece: Piece }
  | { readonly type: 'end'; readonly index: number; readonly usage: Usage };

type Writer = AsyncGenerator<Piece, Usage, void>;

/** Events of all writers as they come. A failure of one, or leaving the loop, ends all. */
export async function* mergeChoices(writers: readonly Writer[]): AsyncGenerator<ChoiceEvent, void, void> {
  const next = (index: number) =>
    (writers[index] as Writer)
      .next()
      .then((result): { index: number; result: IteratorResult<Piece, Usage> } => ({ index, result }));
  const pending = new Map(writers.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      if (result.done) {
        pending.delete(index);
        yield { type: 'end', index, usage: result.value };
      } else {
        pending.set(index, next(index));
        yield { type: 'piece', index, piece: result.value };
      }
    }
  } finally {
    // What still runs ends at its next step; what it then throws has been told, or is not asked for.
    await Promise.allSettled(writers.map((writer) => writer.return(undefined as never)));
    await Promise.allSettled(pending.values());
  }
}
