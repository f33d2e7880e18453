// Runs of the peers' table as files, one a run: ours are made here, the peers' by benchmarks/peers/*.py.
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isComplete, runSearch, type TacticName } from '@instatune/search';
import { PEER_TASKS, minimisedOf } from './tasks.ts';

/** One run: objectives of every candidate in the order of measuring, minimised. */
export interface PeerRun {
  readonly task: string;
  /** E.g. `pymoo nsga2`, `ours linas`. */
  readonly algorithm: string;
  readonly version: string;
  readonly seed: number;
  readonly cpuSeconds: number;
  readonly objectives: readonly (readonly number[])[];
}

/** All runs of a folder. */
export function readRuns(folder: string): readonly PeerRun[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as PeerRun);
}

export interface OwnRunsOptions {
  readonly folder: string;
  readonly tactic: TacticName;
  readonly tasks: readonly string[];
  readonly evaluations: number;
  readonly seeds: number;
  /** The first of them. @defaultValue 0 */
  readonly first?: number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Makes the runs of a tactic that are not in the folder yet, seed by seed. */
export async function makeOwnRuns(options: OwnRunsOptions): Promise<void> {
  const { folder, tactic, tasks, evaluations, seeds, first = 0, log, signal } = options;
  const made = new Map(tasks.map((name) => [name, PEER_TASKS[name]!()]));
  for (let seed = first; seed < first + seeds; seed++) {
    for (const [name, task] of made) {
      const file = join(folder, `${name}-ours-${tactic}-${seed}.json`.replaceAll(' ', '_'));
      if (existsSync(file)) continue;
      signal.throwIfAborted();
      const before = process.cpuUsage();
      const { trials } = await runSearch(task.problem, { tactic, evaluations, seed, signal });
      const { user, system } = process.cpuUsage(before);
      const run: PeerRun = {
        task: name,
        algorithm: `ours ${tactic}`,
        version: 'this repository',
        seed,
        cpuSeconds: Number(((user + system) / 1e6).toFixed(2)),
        objectives: trials
          .filter(isComplete)
          .map(({ values }) => minimisedOf(task, values).map((value) => Number(value.toPrecision(9)))),
      };
      // Written whole or not at all.
      writeFileSync(`${file}.part`, JSON.stringify(run));
      renameSync(`${file}.part`, file);
      log(`${name}, ${tactic}, seed ${seed}: ${run.cpuSeconds} s`);
    }
  }
}
