// Writes the files of a folder as one: a process that is killed leaves the old files or the new ones, never some of each.
import { throwIfAborted } from '../errors.ts';
import { requireNode } from '../platform.ts';
import type { NodeModules } from '../platform.ts';
import { brief } from '../quote.ts';
import { writeError } from './access.ts';
import { acquireLock } from './lock.ts';
import { JOURNAL, readJournal } from './save-journal.ts';
import type { SaveJournal } from './save-journal.ts';

type Files = NodeModules['node:fs/promises'];

/** A file to write; its chunks are made when they are written. */
export interface FileToSave {
  /** A plain name, or one in a folder of its own (`FOLDER/NAME`). */
  readonly name: string;
  readonly chunks: Iterable<Uint8Array>;
}

/** Options of {@link saveFolder}. */
export interface SaveFolderOptions {
  /** Whether a file of an earlier save is none of the new one's and goes. @defaultValue none does */
  readonly isObsolete?: ((name: string) => boolean) | undefined;
  /** Stops before the save is decided: the old files stay. */
  readonly signal?: AbortSignal | undefined;
}

const STAGED = /^\.saving(-|\.lock\.)[\da-f-]+/;

/**
 * Saves files into a folder (Node only), which is made if need be. All are written beside the old ones and flushed to the disk, then a
 * journal decides for the new ones, then they are renamed. {@link folderFiles} reads a folder whose save was broken off by its journal,
 * and the next save tidies up; other readers see it whole from then on.
 *
 * @throws CheckpointError `file-access` (a file in the way, a full or read-only disk, another save under way), `unsupported` without Node,
 * `aborted`. Unless the message says otherwise, the old files stay as they were.
 *
 * @example
 * ```ts
 * import { folderFiles, saveFolder } from '@hip/checkpoints';
 *
 * await saveFolder('./out/notes', [{ name: 'a.txt', chunks: [new TextEncoder().encode('whole')] }]);
 * console.log(await folderFiles('./out/notes').text('a.txt')); // => whole
 * ```
 */
export async function saveFolder(
  folder: string,
  files: readonly FileToSave[],
  options: SaveFolderOptions = {},
): Promise<void> {
  const system = requireNode('node:fs/promises', `writing to ${folder}`, 'write the files by other means');
  await typed(folder, () => system.mkdir(folder, { recursive: true }));
  await using lock = await acquireLock(`${folder}/.saving.lock`, `saving to ${folder}`);
  await typed(folder, () => finish(system, folder));
  const id = crypto.randomUUID();
  const staged = (name: string) => `.saving-${id}-${name.replace('/', '~')}`;
  try {
    for (const { name, chunks } of files) {
      throwIfAborted(options.signal, `saving to ${brief(folder)}`);
      await typed(folder, () => writeFlushed(system, `${folder}/${staged(name)}`, chunks));
    }
    throwIfAborted(options.signal, `saving to ${brief(folder)}`);
    const names = new Set(files.map(({ name }) => name));
    const there = await typed(folder, () => system.readdir(folder));
    const journal: SaveJournal = {
      files: Object.fromEntries(files.map(({ name }) => [name, staged(name)])),
      removed: there.filter((name) => !names.has(name) && (options.isObsolete?.(name) ?? false)),
    };
    await lock.confirm();
    await typed(folder, async () => {
      const text = new TextEncoder().encode(JSON.stringify(journal));
      await writeFlushed(system, `${folder}/${staged('journal')}`, [text]);
      await flush(system, folder);
      await system.rename(`${folder}/${staged('journal')}`, `${folder}/${JOURNAL}`);
    });
  } catch (error) {
    for (const name of await system.readdir(folder).catch(() => [])) {
      if (name.startsWith(`.saving-${id}-`)) await system.rm(`${folder}/${name}`, { force: true }).catch(() => {});
    }
    throw error;
  }
  await typed(folder, () => finish(system, folder), ': the new files are decided for, the next save goes on');
}

/** Renames what a decided save has staged, removes what it no longer has, and what saves that were not decided left. */
async function finish(system: Files, folder: string): Promise<void> {
  const journal = await readJournal(system, folder);
  await flush(system, folder);
  if (journal) {
    for (const [name, staged] of Object.entries(journal.files)) {
      const inner = /^(.+)\//.exec(name)?.[1];
      if (inner !== undefined) await system.mkdir(`${folder}/${inner}`, { recursive: true });
      await system.rename(`${folder}/${staged}`, `${folder}/${name}`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
    for (const name of journal.removed) await system.rm(`${folder}/${name}`, { force: true });
    await flush(system, folder);
    await system.rm(`${folder}/${JOURNAL}`, { force: true });
  }
  for (const name of await system.readdir(folder)) {
    if (STAGED.test(name)) await system.rm(`${folder}/${name}`, { force: true });
  }
}

async function writeFlushed(system: Files, path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  await using file = await system.open(path, 'w');
  for (const chunk of chunks) await file.writeFile(chunk);
  await file.sync();
}

/** Flushes a folder's own entries where the system does that. */
async function flush(system: Files, folder: string): Promise<void> {
  const handle = await system.open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/** Runs system calls; what they fail with is typed. */
async function typed<T>(folder: string, action: () => Promise<T>, outcome = ': what was there stays'): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw writeError(folder, cause, outcome);
  }
}
