// Measured latency that can be trusted: warm-up first, the median of repeats, and its spread beside it.
import { SearchError } from '../errors.ts';

export interface LatencyOptions {
  /** Runs thrown away first: compilation, caches, clocks. @defaultValue 2 */
  readonly warmup?: number;
  /** Timed runs at least. @defaultValue 5 */
  readonly repeats?: number;
  /** Go on repeating until the timed runs add up to this many milliseconds (short runs need more). @defaultValue 0 */
  readonly minTotalMs?: number;
  /** Never more timed runs than this. @defaultValue 1000 */
  readonly maxRepeats?: number;
  readonly signal?: AbortSignal;
  /** The clock, in milliseconds. @defaultValue performance.now */
  readonly now?: () => number;
}

export interface Latency {
  /** Milliseconds. */
  readonly median: number;
  /** Quartiles, milliseconds: half of the runs lie between them. */
  readonly lower: number;
  readonly upper: number;
  readonly repeats: number;
}

/** Linear interpolation between order statistics (type 7 of Hyndman & Fan 1996). `sorted` ascending, not empty. */
export function quantile(sorted: readonly number[], p: number): number {
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (at - low) * (sorted[high]! - sorted[low]!);
}

/**
 * Times `run`, which must finish its work before it resolves (await the device).
 *
 * @throws SearchError `invalid-option`; the signal's reason if aborted
 * @example
 * const { median } = await measureLatency(async () => { const y = model.predict(x); await y.data(); y.dispose(); });
 */
export async function measureLatency(run: () => unknown, options: LatencyOptions = {}): Promise<Latency> {
  const { warmup = 2, repeats = 5, minTotalMs = 0, maxRepeats = 1000, signal, now = () => performance.now() } = options;
  for (const [name, value, lowest] of [
    ['warmup', warmup, 0],
    ['repeats', repeats, 1],
    ['minTotalMs', minTotalMs, 0],
    ['maxRepeats', maxRepeats, 1],
  ] as const) {
    if (!(value >= lowest))
      throw new SearchError('invalid-option', `${name} is ${value}: use a number ≥ ${lowest}`, { name, value });
  }
  for (let i = 0; i < warmup; i++) {
    signal?.throwIfAborted();
    await run();
  }
  const times: number[] = [];
  let total = 0;
  while (times.length < maxRepeats && (times.length < repeats || total < minTotalMs)) {
    signal?.throwIfAborted();
    const start = now();
    await run();
    const time = now() - start;
    times.push(time);
    total += time;
  }
  const sorted = times.sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    lower: quantile(sorted, 0.25),
    upper: quantile(sorted, 0.75),
    repeats: sorted.length,
  };
}
