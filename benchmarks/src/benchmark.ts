// What a benchmark is, and the machine it ran on.
import { cpus, totalmem } from 'node:os';

export interface BenchmarkOptions {
  /** Smaller sizes and fewer repeats: minutes become seconds, figures become indications. */
  readonly quick: boolean;
  /** One line of progress, on standard error. */
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Benchmark {
  readonly name: string;
  readonly description: string;
  run(
    options: BenchmarkOptions,
  ): Promise<{ rows: readonly Record<string, unknown>[]; environment?: Record<string, unknown> }>;
}

/** What the figures depend on: processor, memory, Node, date, commit-independent. */
export function environment(): Record<string, unknown> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** The median of a list of numbers; the mean of the middle two when their count is even. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Times several candidates interleaved (a, b, c, a, b, c, …) so that drift of the machine hits all alike.
 *
 * @returns milliseconds of each repeat, by candidate name
 */
export async function interleave(
  candidates: Readonly<Record<string, () => unknown>>,
  { repeats, warmup = 1 }: { repeats: number; warmup?: number },
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {};
  for (let round = -warmup; round < repeats; round++) {
    for (const [name, candidate] of Object.entries(candidates)) {
      const start = performance.now();
      await candidate();
      if (round >= 0) (times[name] ??= []).push(performance.now() - start);
    }
  }
  return times;
}
