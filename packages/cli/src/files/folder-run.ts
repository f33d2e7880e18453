// A run kept in a folder: record, training states, the start as a checkpoint, the study. Every file is replaced as a whole.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, folderFiles, saveFolder, type FileLock } from '@hip/checkpoints';
import { fileStore, saveCheckpoint } from '@instatune/supernet';
import { listStudies } from '@instatune/search/node';
import { parseRecord } from '../run/record.ts';
import type { RunStore } from '../run/store.ts';

const RECORD = 'run.json';
const STUDY = 'search.db';

/** Where the command keeps what a finished run came to. */
export const RESULT = 'result.json';

/** Whether a folder keeps a run, or what one came to: what was written for it may be written over. */
export const keepsRun = (folder: string): boolean => [RECORD, RESULT].some((name) => existsSync(join(folder, name)));

/** A {@link RunStore} on disk, and its lock. */
export interface FolderRun extends RunStore, AsyncDisposable {
  readonly folder: string;
}

/**
 * Opens a run's folder, made if need be. One process has it at a time.
 *
 * @param fresh begin anew: what is there of an earlier run goes
 * @throws CheckpointError `file-access` while another process has it, or where it cannot be written
 */
export async function folderRun(
  folder: string,
  { fresh = false }: { readonly fresh?: boolean } = {},
): Promise<FolderRun> {
  await mkdir(folder, { recursive: true });
  const lock: FileLock = await acquireLock(join(folder, 'run.lock'), `the run in ${folder}`);
  if (fresh) {
    for (const name of [RECORD, STUDY, `${STUDY}-wal`, `${STUDY}-shm`, 'start', 'super-network.state', 'refine.state'])
      await rm(join(folder, name), { recursive: true, force: true });
  }
  const place = join(folder, STUDY);
  const statePath = (name: string) => join(folder, `${name}.state`);
  return {
    folder,
    async read() {
      const text = await folderFiles(folder).text(RECORD);
      return text === undefined ? undefined : parseRecord(text, join(folder, RECORD));
    },
    async write(record) {
      const bytes = new TextEncoder().encode(`${JSON.stringify(record, undefined, 2)}\n`);
      await saveFolder(folder, [{ name: RECORD, chunks: [bytes] }]);
    },
    state: (name) => fileStore(statePath(name)),
    forget: (name) => rm(statePath(name), { force: true }),
    saveStart: async (model) => {
      await saveCheckpoint(model, join(folder, 'start'));
    },
    async start() {
      const path = join(folder, 'start');
      return (await folderFiles(path).text('config.json')) === undefined ? undefined : path;
    },
    study: {
      path: place,
      exists: async () => existsSync(place) && listStudies(place).length > 0,
    },
    [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
  };
}

/** Bytes of a folder's files, for what a person may delete. */
export async function folderBytes(folder: string): Promise<number> {
  const names = ['super-network.state', 'refine.state', 'start/model.safetensors'];
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(folder, name)).catch(() => undefined))?.size ?? 0),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The text of a file that may not be there. */
export const textOf = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
