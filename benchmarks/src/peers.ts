// Searches against pymoo and Optuna: hypervolume after 50 to 800 measurements on twelve tasks. The peers' own runs are made by benchmarks/peers/*.py.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '@instatune/nsga2';
import { Space } from '@instatune/search';
import type { Benchmark } from './benchmark.ts';
import { makeOwnRuns, readRuns } from './peers/runs.ts';
import { speedRows } from './peers/speed.ts';
import { flatOf, HYPERVOLUME, readStored, replaced, rowOf } from './peers/stored.ts';
import { rowsOfTask, standing } from './peers/table.ts';
import { measureTask, PEER_TASKS } from './peers/tasks.ts';
import { volumeRows } from './peers/volume-speed.ts';

/** What the rows of LINAS's standing are called among the others. */
const STANDING = 'standing of linas';

/** Measures the same candidates in Python: two implementations of one task must agree. @returns the largest relative difference, by task */
async function differences(python: string, tasks: readonly string[]): Promise<Record<string, number>> {
  const samples: Record<string, { readonly genes: number[][]; readonly values: number[][] }> = {};
  for (const name of tasks) {
    const task = PEER_TASKS[name]!();
    const space = new Space(task.problem);
    const random = new Random(7);
    const genes = Array.from({ length: 5 }, () => space.sample(random));
    samples[name] = { genes, values: await Promise.all(genes.map((each) => measureTask(task, each))) };
  }
  const script = join(import.meta.dirname, '../peers/values.py');
  const { status, stdout, stderr } = spawnSync(python, [script], {
    input: JSON.stringify(Object.fromEntries(tasks.map((name) => [name, samples[name]!.genes]))),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`${python} ${script}: ${stderr}`);
  const theirs = JSON.parse(stdout) as Record<string, number[][]>;
  return Object.fromEntries(
    tasks.map((name) => [
      name,
      Math.max(
        ...samples[name]!.values.flatMap((values, i) =>
          values.map((value, k) => Math.abs(value - theirs[name]![i]![k]!) / Math.max(1, Math.abs(value))),
        ),
      ),
    ]),
  );
}

export const benchmark: Benchmark = {
  name: 'peers',
  description: 'LINAS and NSGA-II against pymoo and Optuna: hypervolume after 50 to 800 measurements on twelve tasks',
  async run({ quick, log, signal }) {
    // HIP_PEERS_RUNS: a folder of runs, the peers' among them. Without it only ours are made.
    const folder = process.env['HIP_PEERS_RUNS'] ?? join(import.meta.dirname, '../../out/peers');
    if (!existsSync(folder)) mkdirSync(folder, { recursive: true });
    const tasks = (
      process.env['HIP_PEERS_TASKS'] ?? (quick ? 'BERT-synth,ZDT1' : Object.keys(PEER_TASKS).join(','))
    ).split(',');
    const python = process.env['HIP_PEERS_PYTHON'];
    const agreement = python === undefined ? undefined : await differences(python, tasks);
    const worst = Object.entries(agreement ?? {}).find(([, difference]) => difference > 1e-6);
    if (worst)
      throw new Error(`${worst[0]} differs by ${worst[1]} between benchmarks/peers/tasks.py and src/peers/tasks.ts`);
    const seeds = Number(process.env['HIP_PEERS_SEEDS'] ?? (quick ? 1 : 11));
    const evaluations = Number(process.env['HIP_PEERS_EVALUATIONS'] ?? (quick ? 100 : 800));
    for (const tactic of (process.env['HIP_PEERS_TACTICS'] ?? 'nsga2,random,linas').split(',').filter(Boolean)) {
      await makeOwnRuns({ folder, tactic: tactic as 'linas', tasks, evaluations, seeds, log, signal });
    }
    const runs = readRuns(folder);
    const made = tasks.flatMap((name) => rowsOfTask(PEER_TASKS[name]!(), runs));
    // HIP_PEERS_STORED: a stored result, in which rows of the same tasks and algorithms are replaced.
    const path = process.env['HIP_PEERS_STORED'];
    const stored = path === undefined ? undefined : readStored(path);
    const absolute = Object.keys(PEER_TASKS).filter((name) => PEER_TASKS[name]!().whole !== undefined);
    const rows = stored
      ? replaced(
          stored.rows.flatMap((flat) => rowOf(flat) ?? []),
          made,
          absolute,
        )
      : made;
    const others = stored?.rows.filter(({ part }) => part !== HYPERVOLUME && part !== STANDING) ?? [];
    return {
      rows: [
        ...rows.map(flatOf),
        ...standing(rows, 'ours linas').map((row) => ({ part: STANDING, ...row })),
        ...(python === undefined
          ? others
          : [
              ...(await speedRows(python, Number(process.env['HIP_PEERS_SPEED_SEEDS'] ?? (quick ? 1 : 5)))).map(
                (row) => ({ part: '25,000 evaluations', ...row }),
              ),
              ...volumeRows('hypervolume', python, quick).map((row) => ({ part: 'exact hypervolume', ...row })),
              ...volumeRows('contributions', python, quick).map((row) => ({
                part: 'hypervolume contributions',
                ...row,
              })),
            ]),
      ],
      environment: {
        runs: runs.length,
        ...(agreement ? { tasksAgreeWithin: agreement } : {}),
        // Where the stored rows were measured, and how.
        ...stored?.environment,
        references: {
          ...(stored?.environment['references'] as object | undefined),
          ...Object.fromEntries(tasks.map((name) => [name, PEER_TASKS[name]!().reference])),
        },
      },
    };
  },
};
