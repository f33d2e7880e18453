// Many clients at once for long: every answer right or a typed error, memory flat.
import { actions, knownCases } from './cases.ts';
import { act, ask, type Answer, type Outcome } from './client.ts';

/** What a server holds when nothing is asked of it. */
export interface Sample {
  readonly requests: number;
  readonly rssMiB: number;
  readonly running: number;
  readonly waiting: number;
  readonly prefixes: number;
  readonly cacheBytes: number;
}

export interface SoakOptions {
  readonly baseURL: string;
  readonly model: string;
  readonly requests: number;
  /** Clients at once. */
  readonly clients: number;
  readonly seed: number;
  /** Samples that are taken. */
  readonly samples: number;
  readonly rssMiB: () => Promise<number>;
  readonly log: (line: string) => void;
}

export interface SoakResult {
  readonly requests: number;
  readonly seconds: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** What was wrong, the first of it. */
  readonly notes: readonly string[];
  readonly samples: readonly Sample[];
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { baseURL, model, requests, clients, seed, samples: parts, log } = options;
  const cases = knownCases(model);
  const answers: Answer[] = [];
  for (const one of cases) answers.push(await ask(baseURL, one));
  const all = actions(requests, cases.length, model, seed);
  const outcomes: Record<Outcome, number> = {
    right: 0,
    refused: 0,
    busy: 0,
    aborted: 0,
    dropped: 0,
    wrong: 0,
    untyped: 0,
  };
  const notes: string[] = [];
  const note = (what: string) => void (notes.length < 20 && notes.push(what));
  const samples: Sample[] = [];
  const startedAt = performance.now();
  for (let part = 0; part < parts; part++) {
    const queue = all.slice(Math.floor((part * requests) / parts), Math.floor(((part + 1) * requests) / parts));
    const client = async (): Promise<void> => {
      for (let action = queue.shift(); action; action = queue.shift()) {
        const outcome = await act(action, { baseURL, cases, answers, note }).catch((error: unknown): Outcome => {
          note(String(error));
          return 'untyped';
        });
        outcomes[outcome]++;
      }
    };
    await Promise.all(Array.from({ length: clients }, client));
    const load = await idle(baseURL);
    const done = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
    samples.push({ requests: done, rssMiB: await options.rssMiB(), ...load });
    log(`${done} requests: ${JSON.stringify(outcomes)}, ${JSON.stringify(samples.at(-1))}`);
  }
  return { requests, seconds: (performance.now() - startedAt) / 1000, outcomes, notes, samples };
}

/** Waits until what was broken off has been let go. */
async function idle(baseURL: string): Promise<Omit<Sample, 'requests' | 'rssMiB'>> {
  for (;;) {
    const health = (await (await fetch(`${new URL(baseURL).origin}/health`)).json()) as Omit<
      Sample,
      'requests' | 'rssMiB'
    >;
    const { running, waiting, prefixes, cacheBytes } = health;
    if (running === 0 && waiting === 0) return { running, waiting, prefixes, cacheBytes };
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}
