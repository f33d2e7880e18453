// Prefill, tokens after it and perplexity of both sessions, in turns.
import { median } from '../benchmark.ts';
import type { Window } from '../quality-smollm2/windows.ts';
import { dispose, type Runner, type Tensors } from './sessions.ts';

/** Milliseconds of all this process's threads: what a machine that is not quiet can be compared by. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const round = (value: number, digits = 4): number => Number(value.toPrecision(digits));

/** A text of `tokens` ids: the window's own, over and over. */
export function textOf(ids: Int32Array, tokens: number): Int32Array {
  return Int32Array.from({ length: tokens }, (_, i) => ids[i % ids.length]!);
}

/** Prefill of a text, its last row's logits, then tokens one by one. */
export async function speedRows(
  runners: readonly Runner[],
  ids: Int32Array,
  {
    tokens,
    repeats,
    steps,
    seen = () => {},
  }: {
    readonly tokens: number;
    readonly repeats: number;
    readonly steps: number;
    /** Told of each prefill, so that something is left where a run is cut off. */
    readonly seen?: (row: Record<string, unknown>) => void;
  },
): Promise<Record<string, unknown>[]> {
  const times = runners.map(() => ({
    prefill: [] as number[],
    processor: [] as number[],
    pieces: [] as number[],
    token: [] as number[],
  }));
  const text = textOf(ids, tokens);
  for (let repeat = 0; repeat < repeats; repeat++) {
    const caches: Tensors[] = [];
    // The whole one, which takes the longest, last.
    for (const [i, runner] of [...runners.entries()].toReversed()) {
      runner.piecesMs();
      const [start, used] = [performance.now(), processorMs()];
      const { present } = await runner.step(text, undefined, 1);
      times[i]!.prefill.push(performance.now() - start);
      times[i]!.processor.push(processorMs() - used);
      times[i]!.pieces.push(runner.piecesMs());
      caches[i] = present;
      const prefillMs = round(times[i]!.prefill.at(-1)!);
      const [usedMs, piecesMs] = [round(times[i]!.processor.at(-1)!), round(times[i]!.pieces.at(-1)!)];
      seen({ part: 'prefill', session: runner.name, tokens, prefillMs, processorMs: usedMs, piecesMs });
    }
    for (let step = 0; step < steps; step++) {
      for (const [i, runner] of runners.entries()) {
        const start = performance.now();
        const { present } = await runner.step(ids.subarray(step, step + 1), caches[i], 1);
        times[i]!.token.push(performance.now() - start);
        dispose(caches[i]!);
        caches[i] = present;
      }
    }
    for (const cache of caches) dispose(cache);
  }
  const [whole] = times;
  const linear = Math.min(...times.slice(1).map(({ pieces }) => median(pieces)));
  return runners.map(({ name }, i) => {
    const { prefill, processor, pieces, token } = times[i]!;
    const ms = median(prefill);
    // Linear layers are the same: what is left of the whole graph's time is its attention.
    const attention = i === 0 ? ms - linear : ms - median(pieces);
    return {
      part: 'speed',
      session: name,
      tokens,
      prefillMs: round(ms),
      prefillProcessorMs: round(median(processor)),
      attentionMs: round(attention),
      tokenMs: round(median(token)),
      prefillGain: round(median(whole!.prefill) / ms, 3),
      prefillProcessorGain: round(median(whole!.processor) / median(processor), 3),
      attentionGain: round((median(whole!.prefill) - linear) / attention, 3),
      tokenGain: round(median(whole!.token) / median(token), 3),
    };
  });
}

/** Perplexity of a window's first tokens, fed in chunks, beside the golden's. */
export async function perplexityRow(runner: Runner, window: Window, tokens: number): Promise<Record<string, unknown>> {
  const chunk = 512;
  let past: Tensors | undefined;
  let [sum, count] = [0, 0];
  for (let at = 0; at < tokens; at += chunk) {
    const ids = window.ids.subarray(at, Math.min(tokens, at + chunk));
    const { logits, present } = await runner.step(ids, past, 0);
    if (past) dispose(past);
    past = present;
    const vocabulary = logits.dims.at(-1)!;
    const numbers = logits.data as Float32Array;
    for (let row = 0; row < ids.length && at + row + 1 < tokens; row++) {
      const own = numbers.subarray(row * vocabulary, (row + 1) * vocabulary);
      let largest = -Infinity;
      for (const value of own) if (value > largest) largest = value;
      let total = 0;
      for (const value of own) total += Math.exp(value - largest);
      sum += largest + Math.log(total) - own[window.ids[at + row + 1]!]!;
      count++;
    }
  }
  if (past) dispose(past);
  const golden = window.losses.subarray(0, tokens - 1).reduce((a, b) => a + b, 0) / (tokens - 1);
  return {
    part: 'perplexity',
    session: runner.name,
    window: window.name,
    tokens,
    perplexity: round(Math.exp(sum / count), 6),
    golden: round(Math.exp(golden), 6),
    ratio: round(Math.exp(sum / count - golden), 6),
  };
}
