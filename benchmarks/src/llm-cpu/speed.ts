// Prefill and a token after it, ours and llama.cpp's in turns.
import type { Engine } from '@hip/llm';
import { median } from '../benchmark.ts';
import type { Peer } from './peer.ts';

/** Milliseconds of a prefill, and of each token after it. */
interface Timed {
  readonly prefill: number;
  readonly steps: readonly number[];
}

/** One of those that are compared. */
export interface Candidate {
  readonly name: string;
  time(ids: readonly number[], steps: readonly number[]): Promise<Timed>;
}

export function ours(name: string, engine: Engine): Candidate {
  return {
    name,
    time: async (ids, steps) => {
      const sequence = engine.createSequence();
      try {
        let start = performance.now();
        await sequence.forward(ids);
        const prefill = performance.now() - start;
        const times: number[] = [];
        for (const id of steps) {
          start = performance.now();
          await sequence.forward([id]);
          times.push(performance.now() - start);
        }
        return { prefill, steps: times };
      } finally {
        sequence.dispose();
      }
    },
  };
}

export function theirs(peer: Peer): Candidate {
  return {
    name: 'llama.cpp',
    time: async (ids, steps) => {
      await peer.ask({ op: 'reset' });
      const { ms } = await peer.ask({ op: 'eval', ids });
      return { prefill: ms, steps: (await peer.ask({ op: 'steps', ids: steps })).times };
    },
  };
}

/** One row a candidate and length: medians over `repeats` rounds, in which they take turns. */
export async function speedRows(
  candidates: readonly Candidate[],
  text: readonly number[],
  lengths: readonly number[],
  { repeats, steps, log }: { repeats: number; steps: number; log: (line: string) => void },
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for (const length of lengths) {
    const ids = text.slice(0, length);
    const after = text.slice(length, length + steps);
    const times = new Map<string, Timed[]>(candidates.map(({ name }) => [name, []]));
    // The first round of the first length warms up.
    for (let round = rows.length === 0 ? -1 : 0; round < repeats; round++) {
      for (const candidate of candidates) {
        const timed = await candidate.time(round < 0 ? ids.slice(0, 256) : ids, after);
        if (round >= 0) times.get(candidate.name)?.push(timed);
        log(
          `${length} tokens, ${candidate.name}: ${timed.prefill.toFixed(0)} ms, then ${median(timed.steps).toFixed(1)} ms`,
        );
      }
    }
    for (const [name, timed] of times) {
      const prefill = median(timed.map((one) => one.prefill));
      rows.push({
        part: 'speed',
        engine: name,
        tokens: length,
        prefillMs: Math.round(prefill),
        prefillTokensPerSecond: Math.round((1000 * length) / prefill),
        tokenMs: Number(median(timed.flatMap((one) => one.steps)).toFixed(2)),
      });
    }
  }
  return rows;
}
