// NSGA-II of this repository against pymoo's: 25,000 evaluations, hypervolume and CPU time, run by run in one go.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { hypervolume, minimize, zdt, type TestProblem } from '@instatune/nsga2';
import { median } from '../benchmark.ts';

const EVALUATIONS = 25_000;
const REFERENCE = [1.1, 1.1];
const PROBLEMS: Readonly<Record<string, TestProblem>> = {
  ZDT1: zdt(1),
  ZDT2: zdt(2),
  ZDT3: zdt(3),
  ZDT4: zdt(4),
  ZDT6: zdt(6),
};

interface PymooRuns {
  readonly version: string;
  readonly runs: readonly {
    readonly problem: string;
    readonly cpuSeconds: number;
    readonly front: readonly (readonly number[])[];
  }[];
}

/** One row a problem. @param python with pymoo */
export async function speedRows(python: string, seeds: number): Promise<readonly Record<string, unknown>[]> {
  const names = Object.keys(PROBLEMS);
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, '../../peers/pymoo_speed.py')], {
    input: JSON.stringify({ problems: names, seeds, evaluations: EVALUATIONS }),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${python}: ${stderr}`);
  const theirs = JSON.parse(stdout) as PymooRuns;
  const rows: Record<string, unknown>[] = [];
  for (const [name, problem] of Object.entries(PROBLEMS)) {
    const own: { readonly seconds: number; readonly volume: number }[] = [];
    // The first run warms up.
    for (let seed = -1; seed < seeds; seed++) {
      const before = process.cpuUsage();
      const { front } = await minimize(problem, { maxEvaluations: EVALUATIONS, seed: Math.max(0, seed) });
      const { user, system } = process.cpuUsage(before);
      const volume = hypervolume(
        front.map(({ objectives }) => objectives),
        REFERENCE,
      );
      if (seed >= 0) own.push({ seconds: (user + system) / 1e6, volume });
    }
    const other = theirs.runs
      .filter((run) => run.problem === name)
      .map(({ cpuSeconds, front }) => ({ seconds: cpuSeconds, volume: hypervolume(front, REFERENCE) }));
    const cpu = (runs: typeof own) => median(runs.map(({ seconds }) => seconds));
    const volumes = (runs: typeof own) => {
      const all = runs.map(({ volume }) => Number(volume.toFixed(4)));
      return [median(all), Math.min(...all), Math.max(...all)] as const;
    };
    const [middle, least, most] = volumes(own);
    const [pymooMedian, pymooLeast, pymooMost] = volumes(other);
    rows.push({
      problem: name,
      evaluations: EVALUATIONS,
      seeds,
      median: middle,
      least,
      most,
      pymooMedian,
      pymooLeast,
      pymooMost,
      cpuSeconds: Number(cpu(own).toFixed(3)),
      pymooCpuSeconds: Number(cpu(other).toFixed(3)),
      timesLessCpu: Number((cpu(other) / cpu(own)).toFixed(1)),
      pymoo: theirs.version,
    });
  }
  return rows;
}
