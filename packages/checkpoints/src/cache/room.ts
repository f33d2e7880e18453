// The folders of all cached locations, and room among them: those used longest ago go first.
import { CheckpointError } from '../errors.ts';
import { entryBytes, folderName, readIndex } from './entry.ts';
import type { EntryIndex } from './entry.ts';
import { remove } from './folder.ts';

/** The folders of all locations, and room among them. */
export class FolderCache {
  readonly #root: FileSystemDirectoryHandle;
  readonly #maxBytes: number;

  constructor(root: FileSystemDirectoryHandle, maxBytes: number) {
    this.#root = root;
    this.#maxBytes = maxBytes;
  }

  async folders(): Promise<FileSystemDirectoryHandle[]> {
    const found: FileSystemDirectoryHandle[] = [];
    for await (const handle of this.#root.values())
      if (handle.kind === 'directory') found.push(handle as FileSystemDirectoryHandle);
    return found;
  }

  /** Every location's index, the one used last first. */
  async entries(): Promise<{ readonly folder: string; readonly index: EntryIndex }[]> {
    const folders = await this.folders();
    const read = await Promise.all(
      folders.map(async (folder) => ({ folder: folder.name, index: await readIndex(folder) })),
    );
    return read
      .flatMap(({ folder, index }) => (index ? [{ folder, index }] : []))
      .sort((a, b) => b.index.usedAt - a.index.usedAt);
  }

  async folder(location: string): Promise<FileSystemDirectoryHandle> {
    return this.#root.getDirectoryHandle(await folderName(location), { create: true });
  }

  /** Removes locations used longest ago until so many bytes more fit. @throws CheckpointError `cache-full` */
  async makeRoom(location: string, file: string, bytes: number): Promise<void> {
    if (this.#maxBytes === Infinity) return;
    const entries = await this.entries();
    let kept = entries.reduce((sum, { index }) => sum + entryBytes(index), 0);
    for (const { folder, index } of entries.toReversed()) {
      if (kept + bytes <= this.#maxBytes) return;
      if (index.location === location) continue;
      await remove(this.#root, folder);
      kept -= entryBytes(index);
    }
    if (kept + bytes <= this.#maxBytes) return;
    const message = `${location}/${file} takes ${bytes} bytes beside ${kept} of the same model, the cache has maxBytes = ${this.#maxBytes}: raise it, or open the checkpoint without a cache`;
    throw new CheckpointError('cache-full', message, { location, file, bytes, kept, maxBytes: this.#maxBytes });
  }

  /** Removes the location used longest ago. @returns whether there was one beside this */
  async evictOne(location: string): Promise<boolean> {
    const oldest = (await this.entries()).findLast(({ index }) => index.location !== location);
    if (oldest) await remove(this.#root, oldest.folder);
    return oldest !== undefined;
  }
}
