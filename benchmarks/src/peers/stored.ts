// Rows of the peers' table in its stored result, and new ones in their place: an algorithm that changed is run again without the others.
import { readFileSync } from 'node:fs';
import { PEER_COUNTS, type PeerRow } from './table.ts';

type Flat = Readonly<Record<string, unknown>>;

/** A document of the benchmark: rows of several parts. */
export interface StoredTable {
  readonly environment: Flat;
  readonly rows: readonly Flat[];
}

/** What the rows of hypervolumes are called among the others. */
export const HYPERVOLUME = 'hypervolume';

/** @throws SyntaxError where the file holds no JSON */
export function readStored(path: string): StoredTable {
  return JSON.parse(readFileSync(path, 'utf8')) as StoredTable;
}

/** A row as it is stored: a column a cell. */
export function flatOf({ median, worst, fewer, ...row }: PeerRow): Flat {
  const columns = (name: string, cells: Readonly<Record<string, number>>): Flat =>
    Object.fromEntries(Object.entries(cells).map(([count, value]) => [`${name}${count}`, value]));
  return {
    part: HYPERVOLUME,
    ...row,
    ...columns('at', median),
    ...columns('worst', worst),
    ...columns('seeds', fewer),
  };
}

/** The inverse of `flatOf`; nothing for rows of other parts. */
export function rowOf(flat: Flat): PeerRow | undefined {
  const { part, task, algorithm, version, seeds, cpuSecondsPerRun } = flat;
  if (part !== HYPERVOLUME) return undefined;
  const cells = (name: string): Record<string, number> =>
    Object.fromEntries(
      PEER_COUNTS.flatMap((count) => {
        const value = flat[`${name}${count}`];
        return typeof value === 'number' ? [[count, value]] : [];
      }),
    );
  return {
    task: String(task),
    algorithm: String(algorithm),
    version: String(version),
    seeds: Number(seeds),
    cpuSecondsPerRun: Number(cpuSecondsPerRun),
    median: cells('at'),
    worst: cells('worst'),
    fewer: cells('seeds'),
  };
}

/**
 * The stored rows, whole ones replaced by new ones of the same task and algorithm; new algorithms at the end of their task's.
 *
 * @param absolute tasks whose exact hypervolume is known. Cells of the others are shares of the best of all runs: they need these
 * @throws Error where a new row is of a task that is not absolute
 */
export function replaced(
  stored: readonly PeerRow[],
  rows: readonly PeerRow[],
  absolute: readonly string[],
): readonly PeerRow[] {
  const relative = rows.find(({ task }) => !absolute.includes(task));
  if (relative)
    throw new Error(
      `${relative.task} has no exact hypervolume: its cells are shares of the best of all runs; give a folder with all of them and no HIP_PEERS_STORED`,
    );
  const tasks = [...new Set([...stored, ...rows].map(({ task }) => task))];
  return tasks.flatMap((name) => {
    const own = rows.filter(({ task }) => task === name);
    const before = stored.filter(({ task }) => task === name);
    const newer = (row: PeerRow): PeerRow | undefined => own.find(({ algorithm }) => algorithm === row.algorithm);
    return [
      ...before.map((row) => newer(row) ?? row),
      ...own.filter(({ algorithm }) => !before.some((row) => row.algorithm === algorithm)),
    ];
  });
}
