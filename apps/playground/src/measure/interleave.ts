// Candidates in turns: what the machine does meanwhile meets all of them alike. One that fails drops out; the others go on.
import { failureOf, PlaygroundError, type Failure } from '../rpc/protocol.ts';
import type { CandidateName } from './protocol.ts';

/** Something that is timed. */
export interface Candidate {
  readonly name: CandidateName;
  /** Calls, or tokens, in a run. */
  readonly perRun: number;
  /** Resolves when what it computes is there. */
  run(): Promise<void>;
  close(): void | Promise<void>;
}

export interface Timed {
  /** Milliseconds of a call, one number a run. */
  readonly ms: readonly number[];
  readonly failure?: Failure;
}

export interface InterleaveOptions {
  readonly runs: number;
  readonly signal: AbortSignal;
  readonly onRun?: (candidate: CandidateName) => void;
  /** Milliseconds after which a candidate is not run again. @defaultValue 10,000 */
  readonly budgetMs?: number;
  readonly now?: () => number;
  /** Before each run: threads of the one before stop spinning, and messages come in. */
  readonly pause?: () => Promise<void>;
}

const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

/**
 * A round to warm up, then `runs` rounds. A warm-up that spends the budget is the measurement itself.
 *
 * @throws PlaygroundError `aborted`
 */
export async function interleave(
  candidates: readonly Candidate[],
  { runs, signal, onRun, budgetMs = 10_000, now = () => performance.now(), pause = rest }: InterleaveOptions,
): Promise<ReadonlyMap<CandidateName, Timed>> {
  const all = new Map(
    candidates.map(({ name }) => [name, { ms: [] as number[], spent: 0, failure: undefined as Failure | undefined }]),
  );
  for (let round = -1; round < runs; round++) {
    for (const candidate of candidates) {
      const { name, perRun } = candidate;
      const entry = all.get(name)!;
      if (entry.failure || (entry.ms.length > 0 && entry.spent > budgetMs)) continue;
      await pause();
      if (signal.aborted) throw new PlaygroundError('aborted', 'stopped');
      const start = now();
      try {
        await candidate.run();
      } catch (error) {
        entry.failure = failureOf(error);
        continue;
      }
      const ms = now() - start;
      entry.spent += ms;
      if (round >= 0 || entry.spent > budgetMs) entry.ms.push(ms / perRun);
      onRun?.(name);
    }
  }
  return new Map([...all].map(([name, { ms, failure }]) => [name, failure ? { ms, failure } : { ms }]));
}

/** The middle of the sorted numbers, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
