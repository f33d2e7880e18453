// How long a proposal takes after so many trials, and what a study of 10,000 costs: written, opened, gone on with.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@instatune/nsga2';
import { bertSynth, linas, resultOf, resume, runSearch, Space } from '@instatune/search';
import { readStudy } from '@instatune/search/node';
import { median, type Benchmark } from './benchmark.ts';

const COUNTS = [150, 500, 1500, 5000, 10_000];

/** Processor and wall seconds of some work. */
async function timed<T>(work: () => T | Promise<T>): Promise<{ value: T; cpu: number; wall: number }> {
  const before = process.cpuUsage();
  const start = performance.now();
  const value = await work();
  const { user, system } = process.cpuUsage(before);
  return { value, cpu: (user + system) / 1e6, wall: (performance.now() - start) / 1000 };
}

const round = (value: number): number => Number(value.toFixed(3));

export const benchmark: Benchmark = {
  name: 'search-trials',
  description: 'time of a proposal after 150 to 10,000 trials; a study of 10,000 written, opened and gone on with',
  async run({ quick, log, signal }) {
    const most = quick ? 1500 : COUNTS.at(-1)!;
    const folder = mkdtempSync(join(tmpdir(), 'search-trials-'));
    const study = join(folder, 'study.db');
    const problem = bertSynth();
    const rows: Record<string, unknown>[] = [];
    try {
      log(`${most} trials into a file`);
      const written = await timed(() =>
        runSearch(problem, { tactic: 'random', evaluations: most, study, seed: 1, signal }),
      );
      const opened = await timed(() => readStudy(study));
      const front = await timed(() => resultOf(problem, opened.value));
      rows.push({
        what: 'study',
        trials: most,
        writeMsPerTrial: round((1000 * written.wall) / most),
        openSeconds: round(opened.cpu),
        frontSeconds: round(front.cpu),
        megabytes: round(statSync(study).size / 2 ** 20),
      });
      const { trials } = opened.value;
      const space = new Space(problem);
      const tactic = linas();
      for (const count of COUNTS.filter((each) => each <= most)) {
        log(`a proposal of LINAS after ${count}`);
        const times: { cpu: number; wall: number }[] = [];
        for (let repeat = 0; repeat < (quick ? 1 : 3); repeat++) {
          const context = {
            space,
            round: 9,
            limit: 50,
            trials: trials.slice(0, count),
            bounds: [],
            seed: 1,
            warm: undefined,
            signal,
            random: new Random(repeat),
          };
          times.push(await timed(() => tactic.propose(context)));
        }
        rows.push({
          what: 'proposal of 50',
          trials: count,
          cpuSeconds: round(median(times.map(({ cpu }) => cpu))),
          cpuMsPerCandidate: round(median(times.map(({ cpu }) => 20 * cpu))),
        });
      }
      log('a round more of that study');
      const more = await timed(() => resume(problem, { study, evaluations: most + 50, signal }));
      rows.push({
        what: 'resumed for a round of 50',
        trials: most + 50,
        cpuSeconds: round(more.cpu),
        wallSeconds: round(more.wall),
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return { rows };
  },
};
