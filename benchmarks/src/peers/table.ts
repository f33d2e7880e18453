// Runs as a table: the median and the worst seed's hypervolume after so many measurements, and who is first in each cell.
import { hypervolume } from '@instatune/nsga2';
import { median } from '../benchmark.ts';
import type { PeerRun } from './runs.ts';
import type { PeerTask } from './tasks.ts';

export const PEER_COUNTS = [50, 100, 200, 400, 800] as const;

/** One row: a task and an algorithm. Cells are shares of the exact front's hypervolume, or of the best that any run found. */
export interface PeerRow {
  readonly task: string;
  readonly algorithm: string;
  readonly version: string;
  readonly seeds: number;
  readonly cpuSecondsPerRun: number;
  /** By count of measurements; those that were not made are not there. */
  readonly median: Readonly<Record<string, number>>;
  readonly worst: Readonly<Record<string, number>>;
  /** Seeds of the cells that fewer runs reached than the row has. */
  readonly fewer: Readonly<Record<string, number>>;
}

/** Fewer runs than this make no cell, unless the row has no more. */
const LEAST_SEEDS = 3;

/** Hypervolume of the first `count` points. */
function volumeAt(run: PeerRun, count: number, reference: readonly number[]): number {
  const inside = run.objectives.slice(0, count).filter((point) => point.every((value, k) => value < reference[k]!));
  return inside.length === 0 ? 0 : hypervolume(inside, reference);
}

const round = (value: number): number => Number(value.toFixed(4));

/** Rows of one task, in order of the algorithms' names. */
export function rowsOfTask(task: PeerTask, runs: readonly PeerRun[]): readonly PeerRow[] {
  const own = runs.filter((run) => run.task === task.name);
  const whole = task.whole ?? Math.max(...own.map((run) => volumeAt(run, run.objectives.length, task.reference)));
  const names = [...new Set(own.map(({ algorithm }) => algorithm))].sort();
  return names.map((algorithm) => {
    const all = own.filter((run) => run.algorithm === algorithm);
    const cells = PEER_COUNTS.flatMap((count) => {
      const shares = all
        .filter(({ objectives }) => objectives.length >= count)
        .map((run) => volumeAt(run, count, task.reference) / whole);
      return shares.length < Math.min(LEAST_SEEDS, all.length) ? [] : [{ count, shares }];
    });
    return {
      task: task.name,
      algorithm,
      version: all[0]!.version,
      seeds: all.length,
      cpuSecondsPerRun: Number(median(all.map(({ cpuSeconds }) => cpuSeconds)).toFixed(2)),
      median: Object.fromEntries(cells.map(({ count, shares }) => [count, round(median(shares))])),
      worst: Object.fromEntries(cells.map(({ count, shares }) => [count, round(Math.min(...shares))])),
      fewer: Object.fromEntries(
        cells.flatMap(({ count, shares }) => (shares.length < all.length ? [[count, shares.length]] : [])),
      ),
    };
  });
}

/** Whether ours is first, within 1 % of first, or behind, in each cell that it and a peer have. */
export function standing(rows: readonly PeerRow[], ours: string): readonly Record<string, unknown>[] {
  const tasks = [...new Set(rows.map(({ task }) => task))];
  return tasks.flatMap((task) =>
    PEER_COUNTS.flatMap((count) => {
      const own = rows.find((row) => row.task === task && row.algorithm === ours)?.median[count];
      const others = rows.filter(
        (row) => row.task === task && row.algorithm !== ours && row.median[count] !== undefined,
      );
      if (own === undefined || others.length === 0) return [];
      const best = others.reduce((a, b) => (b.median[count]! > a.median[count]! ? b : a));
      const of = best.median[count]!;
      const where = own >= of ? 'first' : own >= 0.99 * of ? 'within 1 %' : 'behind';
      return [{ task, measurements: count, ours: own, best: best.algorithm, bestMedian: of, standing: where }];
    }),
  );
}
