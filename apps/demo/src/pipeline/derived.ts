// What follows from a result's numbers. Needs nothing of Node: the page has it too.
import type { Answers, LongContextRow, PassKeys, Reader } from './result.ts';

/** How many times faster HiP attention is than dense attention: inside attention where that was timed, else the whole prefill. */
export function attentionSpeedup({ denseAttentionMs, hipAttentionMs, denseMs, hipMs }: LongContextRow): number {
  return denseAttentionMs !== undefined && hipAttentionMs !== undefined
    ? denseAttentionMs / hipAttentionMs
    : denseMs / hipMs;
}

/** HiP's perplexity over dense attention's, as text. */
export function perplexityRatio({ densePpl, hipPpl }: Pick<LongContextRow, 'densePpl' | 'hipPpl'>): string {
  return (hipPpl / densePpl).toFixed(3);
}

/** Pass-keys that were answered right. */
export function countFound(keys: PassKeys['keys'], { answers }: Answers): number {
  return keys.filter(({ digits }, i) => answers[i] === digits).length;
}

/** Answers of HiP that are dense attention's, letter by letter. */
export function countSame({ dense, hip }: Reader): number {
  return dense.answers.filter((answer, i) => hip.answers[i] === answer).length;
}

/** The reader that knows most with dense attention; the first of those that know as much. */
export function bestReader({ keys, readers }: PassKeys): Reader {
  return readers.reduce((best, reader) =>
    countFound(keys, reader.dense) > countFound(keys, best.dense) ? reader : best,
  );
}
