// A server under many clients for long, with aborts, bad requests, dropped connections and slow readers: what is answered, what it holds.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, type Benchmark } from './benchmark.ts';
import { soak } from './serve-soak/soak.ts';

const ROOT = join(import.meta.dirname, '../..');
/** A small model was not made for chats. */
const TEMPLATE = '{% for m in messages %}{{ m.content }}\n{% endfor %}';

/** Requests; HIP_SOAK_REQUESTS says others, HIP_SOAK_MODEL a folder of another model (one with a chat template). */
const REQUESTS = 10_000;

export const benchmark: Benchmark = {
  name: 'serve-soak',
  description:
    'answers and memory of a server under thousands of requests with aborts, bad requests and dropped connections',
  async run({ quick, log, signal }) {
    const requests = Number(process.env['HIP_SOAK_REQUESTS'] ?? (quick ? 300 : REQUESTS));
    const folder = mkdtempSync(join(tmpdir(), 'hip-soak-'));
    const own = process.env['HIP_SOAK_MODEL'];
    cpSync(own ?? join(ROOT, 'apps/demo/model'), folder, { recursive: true });
    if (own === undefined) writeFileSync(join(folder, 'chat_template.jinja'), TEMPLATE);
    const main = join(ROOT, 'packages/llm/src/cli/main.ts');
    const args = [
      '--model',
      folder,
      '--name',
      'tiny',
      '--port',
      '0',
      '--threads',
      '1',
      '--context',
      '512',
      '--slots',
      '4',
      '--queue',
      '7',
    ];
    const child = spawn(process.execPath, ['--no-warnings', main, 'serve', ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
      signal,
    });
    child.on('error', () => {});
    try {
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      const baseURL = /http:\S+/.exec(line.toString())![0];
      const rssMiB = async () => rssOf(child.pid!);
      const result = await soak({ baseURL, model: 'tiny', requests, clients: 12, seed: 1, samples: 20, rssMiB, log });
      const isAlive = child.exitCode === null;
      const stoppedAt = performance.now();
      child.kill('SIGTERM');
      const [code] = (await once(child, 'close')) as [number | null];
      const seconds = result.samples.map(({ rssMiB: rss }) => rss);
      const quarter = Math.ceil(seconds.length / 4);
      const { samples, ...rest } = result;
      const row = {
        ...rest,
        seconds: Math.round(result.seconds),
        rssMiBSecondQuarter: median(seconds.slice(quarter, 2 * quarter)),
        rssMiBLastQuarter: median(seconds.slice(-quarter)),
        prefixesMost: Math.max(...samples.map(({ prefixes }) => prefixes)),
        cacheMiBMost: Math.round(Math.max(...samples.map(({ cacheBytes }) => cacheBytes)) / 2 ** 20),
        isAlive,
        exitCode: code,
        msToEnd: Math.round(performance.now() - stoppedAt),
        samples,
      };
      return { rows: [row] };
    } finally {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Resident memory of a process, by Linux's procfs; NaN elsewhere. */
function rssOf(pid: number): number {
  try {
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
  } catch {
    return Number.NaN;
  }
}
