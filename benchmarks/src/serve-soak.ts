// A server under many clients for long, with aborts, bad requests, dropped connections and slow readers: what is answered, what it holds.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { median, type Benchmark } from './benchmark.ts';
import { growth } from './serve-soak/growth.ts';
import type { Held } from './serve-soak/held.ts';
import { soak, type Sample } from './serve-soak/soak.ts';

const ROOT = join(import.meta.dirname, '../..');
/** A small model was not made for chats. */
const TEMPLATE = '{% for m in messages %}{{ m.content }}\n{% endfor %}';

/** Requests, and seconds over which they come; HIP_SOAK_REQUESTS and HIP_SOAK_SECONDS say others (0 seconds: as fast as they are answered). */
const [REQUESTS, SECONDS] = [10_000, 3600];
/** HIP_SOAK_MODEL is a folder of another model (one with a chat template). */
const MODEL = join(ROOT, 'apps/demo/model');
const SLOTS = 4;
/** What clients may ask at once fits; of a burst not all does. */
const [QUEUE, CLIENTS, BURST] = [64, 48, 100];
const MIB = 2 ** 20;

export const benchmark: Benchmark = {
  name: 'serve-soak',
  description:
    'answers and memory of a server under thousands of requests with aborts, bad requests and dropped connections',
  async run({ quick, log, signal }) {
    const requests = Number(process.env['HIP_SOAK_REQUESTS'] ?? (quick ? 300 : REQUESTS));
    const seconds = Number(process.env['HIP_SOAK_SECONDS'] ?? (quick ? 0 : SECONDS));
    const folder = mkdtempSync(join(tmpdir(), 'hip-soak-'));
    const own = process.env['HIP_SOAK_MODEL'];
    cpSync(own ?? MODEL, folder, { recursive: true });
    if (own === undefined) writeFileSync(join(folder, 'chat_template.jinja'), TEMPLATE);
    const child = startServer(folder, signal);
    try {
      const [line] = (await once(child.stdout!, 'data')) as [Buffer];
      const baseURL = /http:\S+/.exec(line.toString())![0];
      const every = Math.max(1, seconds / 120);
      const result = await soak({
        baseURL,
        model: 'tiny',
        requests,
        seconds,
        clients: CLIENTS,
        burst: BURST,
        seed: 1,
        every,
        probe: (isCollected) => ask(child, isCollected),
        log,
        signal,
      });
      const isAlive = child.exitCode === null;
      const stoppedAt = performance.now();
      child.kill('SIGTERM');
      const [code] = (await once(child, 'close')) as [number | null];
      const { samples, latencies, ...rest } = result;
      const sorted = latencies.toSorted((a, b) => a - b);
      const row = {
        ...rest,
        seconds: Math.round(result.seconds),
        cpuSeconds: Math.round(samples.at(-1)!.cpuSeconds),
        answerMs: { median: Math.round(median(sorted)), p99: Math.round(sorted[Math.floor(0.99 * sorted.length)]!) },
        most: {
          firstHalf: most(samples.slice(0, samples.length >> 1)),
          secondHalf: most(samples.slice(samples.length >> 1)),
        },
        secondHalf: secondHalf(samples),
        isAlive,
        exitCode: code,
        msToEnd: Math.round(performance.now() - stoppedAt),
        samples: samples.filter(({ isCollected }) => isCollected).map(short),
      };
      return { rows: [row] };
    } finally {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function startServer(folder: string, signal: AbortSignal): ChildProcess {
  const main = join(ROOT, 'packages/llm/src/cli/main.ts');
  const probe = pathToFileURL(join(import.meta.dirname, 'serve-soak/probe.ts')).href;
  const served = `--model ${folder} --name tiny --port 0 --threads 1 --context 512 --slots ${SLOTS} --queue ${QUEUE}`;
  const args = ['--no-warnings', '--expose-gc', '--import', probe, main, 'serve', ...served.split(' ')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore', 'ipc'], signal });
  child.on('error', () => {});
  return child;
}

async function ask(child: ChildProcess, isCollected: boolean): Promise<Held> {
  const answer = once(child, 'message', { signal: AbortSignal.timeout(60_000) });
  child.send(isCollected);
  return ((await answer) as [Held])[0];
}

const rounded = (bytes: number) => Number((bytes / MIB).toFixed(1));

/** The largest of each quantity. */
function most(samples: readonly Sample[]) {
  const largest = (of: (sample: Sample) => number) => Math.max(...samples.map(of));
  return {
    rssMiB: rounded(largest(({ rss }) => rss)),
    heapMiB: rounded(largest(({ heapUsed }) => heapUsed)),
    externalMiB: rounded(largest(({ external }) => external)),
    cacheMiB: rounded(largest(({ cacheBytes }) => cacheBytes)),
    descriptors: largest(({ descriptors }) => descriptors ?? 0),
    resources: largest(({ resources }) => resources),
  };
}

/** A sample whose bytes are MiB. */
function short({ rss, heapUsed, external, arrayBuffers, cacheBytes, ...rest }: Sample) {
  return {
    ...rest,
    rssMiB: rounded(rss),
    heapMiB: rounded(heapUsed),
    externalMiB: rounded(external),
    arrayBuffersMiB: rounded(arrayBuffers),
    cacheMiB: rounded(cacheBytes),
  };
}

/** How what is held grows when the server has been warm for as long again: MiB or counts, per hour, with the slope's 95 % interval. */
function secondHalf(samples: readonly Sample[]) {
  const late = samples.slice(Math.floor(samples.length / 2), -1);
  const collected = late.filter(({ isCollected }) => isCollected);
  const line = (points: readonly Sample[], of: (sample: Sample) => number) =>
    points.length < 3
      ? undefined
      : Object.fromEntries(
          Object.entries(growth(points.map((sample) => [sample.second, of(sample)]))).map(([name, value]) => [
            name,
            Number(value.toFixed(3)),
          ]),
        );
  return {
    rssMiB: line(late, ({ rss }) => rss / MIB),
    heapMiBCollected: line(collected, ({ heapUsed }) => heapUsed / MIB),
    externalMiBCollected: line(collected, ({ external }) => external / MIB),
    cacheMiB: line(late, ({ cacheBytes }) => cacheBytes / MIB),
    descriptors: line(late, ({ descriptors }) => descriptors ?? 0),
    resources: line(late, ({ resources }) => resources),
  };
}
