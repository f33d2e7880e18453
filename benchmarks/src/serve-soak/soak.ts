// Many clients at once for long: every answer right or a typed error, memory flat.
import { actions, knownCases, type Action } from './cases.ts';
import { act, ask, type Answer, type Outcome } from './client.ts';
import type { Held } from './held.ts';
import { arrivals } from './schedule.ts';

/** What a server holds, some time after the first request. */
export interface Sample extends Held {
  readonly second: number;
  /** Requests that are done. */
  readonly requests: number;
  /** Whether garbage was collected just before. */
  readonly isCollected: boolean;
  readonly running: number;
  readonly waiting: number;
  readonly prefixes: number;
  readonly prefixTokens: number;
  readonly cacheBytes: number;
}

export interface SoakOptions {
  readonly baseURL: string;
  readonly model: string;
  readonly requests: number;
  /** Over which they come; 0: as fast as the clients are answered. */
  readonly seconds: number;
  /** Clients at once, bursts apart. */
  readonly clients: number;
  /** Requests that come together now and then; some of them may find the queue full. */
  readonly burst: number;
  readonly seed: number;
  /** Seconds between two samples. */
  readonly every: number;
  readonly probe: (isCollected: boolean) => Promise<Held>;
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal;
}

export interface SoakResult {
  readonly requests: number;
  readonly seconds: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Refused by a full queue though they did not come in a burst. */
  readonly busyOutsideBursts: number;
  /** Milliseconds of whole answers that were right. */
  readonly latencies: readonly number[];
  /** What was wrong, the first of it. */
  readonly notes: readonly string[];
  readonly samples: readonly Sample[];
}

/** Each how many samples garbage is collected before. */
const COLLECTED = 6;

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { baseURL, model, requests, seconds, clients, burst, seed, log, signal } = options;
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
  let busyOutsideBursts = 0;
  const latencies: number[] = [];
  const notes: string[] = [];
  const note = (what: string) => void (notes.length < 20 && notes.push(what));
  const startedAt = performance.now();
  const second = () => (performance.now() - startedAt) / 1000;
  const done = () => Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const one = async (action: Action, isBurst: boolean): Promise<void> => {
    const askedAt = performance.now();
    const outcome = await act(action, { baseURL, cases, answers, note }).catch((error: unknown): Outcome => {
      note(String(error));
      return 'untyped';
    });
    outcomes[outcome]++;
    if (outcome === 'right') latencies.push(performance.now() - askedAt);
    if (outcome === 'busy' && !isBurst) busyOutsideBursts++;
  };

  const samples: Sample[] = [];
  const sample = async (isCollected: boolean): Promise<void> => {
    const [load, held] = [await health(baseURL), await options.probe(isCollected)];
    samples.push({ second: Math.round(second()), requests: done(), isCollected, ...load, ...held });
    log(`${done()} requests: ${JSON.stringify(outcomes)}, ${JSON.stringify(samples.at(-1))}`);
  };
  let failure: Error | undefined;
  let sampling = Promise.resolve();
  const timer = setInterval(() => {
    const isCollected = samples.length % COLLECTED === 0;
    sampling = sampling
      .then(() => sample(isCollected))
      .catch((cause: unknown) => void (failure ??= new Error('the server does not say what it holds', { cause })));
  }, options.every * 1000);

  const active = new Set<Promise<void>>();
  try {
    for (const [index, { at, isBurst }] of arrivals(requests, seconds, burst, seed + 1).entries()) {
      signal?.throwIfAborted();
      if (failure) throw failure;
      const wait = at - second();
      if (wait > 0) await new Promise((resolve) => void setTimeout(resolve, wait * 1000));
      if (!isBurst) while (active.size >= clients) await Promise.race(active);
      const running = one(all[index] as Action, isBurst).finally(() => void active.delete(running));
      active.add(running);
    }
    await Promise.all(active);
  } finally {
    clearInterval(timer);
    await sampling;
  }
  await idle(baseURL);
  await sample(true);
  return { requests, seconds: second(), outcomes, busyOutsideBursts, latencies, notes, samples };
}

type Load = Pick<Sample, 'running' | 'waiting' | 'prefixes' | 'prefixTokens' | 'cacheBytes'>;

async function health(baseURL: string): Promise<Load> {
  const response = await fetch(`${new URL(baseURL).origin}/health`);
  const { running, waiting, prefixes, prefixTokens, cacheBytes } = (await response.json()) as Load;
  return { running, waiting, prefixes, prefixTokens, cacheBytes };
}

/** Waits until what was broken off has been let go. */
async function idle(baseURL: string): Promise<void> {
  for (;;) {
    const { running, waiting } = await health(baseURL);
    if (running === 0 && waiting === 0) return;
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}
