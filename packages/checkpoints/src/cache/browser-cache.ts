// The browser's cache of checkpoints: what one visit downloads the next one reads from disk, without the network.
import { CheckpointError } from '../errors.ts';
import { memorySource } from '../files/byte-source.ts';
import type { ByteSource } from '../files/byte-source.ts';
import type { CheckpointFiles } from '../files/files.ts';
import { blobSource } from '../files/hub.ts';
import { entryBytes, fileName, folderName, locked, readIndex, updateIndex } from './entry.ts';
import type { EntryIndex } from './entry.ts';
import { isNamed, openFolder, readFile, remove, writeFile } from './folder.ts';

/** Bytes asked for at once: the next piece is under way while one is written. */
const PIECE = 8 * 2 ** 20;

/** Options of {@link openBrowserCache}. */
export interface BrowserCacheOptions {
  /** Folder of the origin private file system. @defaultValue 'hip-checkpoints' */
  readonly name?: string | undefined;
  /** Most bytes to keep; the locations used longest ago go first. @defaultValue as many as the browser gives */
  readonly maxBytes?: number | undefined;
}

/** A location in the cache. */
export interface CacheEntry {
  readonly location: string;
  readonly bytes: number;
  /** Names of the files that are kept. */
  readonly files: readonly string[];
  readonly usedAt: Date;
}

/** Options of {@link BrowserCache.files}. */
export interface CachedFilesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of a file downloaded so far, of how many. */
  readonly onProgress?:
    | ((progress: { readonly file: string; readonly loaded: number; readonly total: number }) => void)
    | undefined;
}

/** Checkpoints kept in the browser. */
export interface BrowserCache {
  /** The files of a place (`httpFiles`, `hubFiles`), each downloaded whole when it is first opened and read from the cache ever after. */
  files(files: CheckpointFiles, options?: CachedFilesOptions): CheckpointFiles;
  /** What is kept, the location used last first. */
  entries(): Promise<CacheEntry[]>;
  /** Forgets a location. @returns whether it was there */
  delete(location: string): Promise<boolean>;
  /** Forgets everything. */
  clear(): Promise<void>;
}

/**
 * Opens the browser's cache of checkpoints, in the origin private file system. A location is what {@link CheckpointFiles.location} says
 * (an address; `hf://owner/name@revision`): what a branch points to later is not looked up again until the entry is deleted.
 *
 * @throws CheckpointError `unsupported` where there is no such file system (Node, pages that are not secure). From the files it makes:
 * `cache-full` where a file does not fit in `maxBytes` or the browser's quota, `aborted`, and what downloading throws
 *
 * @example
 * ```ts
 * import { openBrowserCache, openCheckpoint } from '@hip/checkpoints';
 *
 * if ('storage' in navigator) { // in a page
 *   const cache = await openBrowserCache({ maxBytes: 2e9 });
 *   const checkpoint = await openCheckpoint('https://example.org/models/SmolLM2', { cache });
 *   console.log(checkpoint.config.layers, await cache.entries());
 * }
 * ```
 */
export async function openBrowserCache(options: BrowserCacheOptions = {}): Promise<BrowserCache> {
  const { name = 'hip-checkpoints', maxBytes = Infinity } = options;
  const root = await openFolder(name);
  const cache = new FolderCache(root, maxBytes);
  return {
    files: (files, fileOptions = {}) => new CachedFiles(cache, files, fileOptions),
    entries: async () =>
      (await cache.entries()).map(({ index }) => ({
        location: index.location,
        bytes: entryBytes(index),
        files: Object.keys(index.files),
        usedAt: new Date(index.usedAt),
      })),
    delete: async (location) => {
      const folder = await folderName(location);
      const there = (await cache.entries()).some((entry) => entry.folder === folder);
      await remove(root, folder);
      return there;
    },
    clear: async () => {
      for (const folder of await cache.folders()) await remove(root, folder.name);
    },
  };
}

/** The folders of all locations, and room among them. */
class FolderCache {
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

/** The files of one location, through the cache. */
class CachedFiles implements CheckpointFiles {
  readonly location: string;
  readonly #cache: FolderCache;
  readonly #files: CheckpointFiles;
  readonly #options: CachedFilesOptions;
  readonly #opening = new Map<string, Promise<File | undefined>>();
  #used = false;

  constructor(cache: FolderCache, files: CheckpointFiles, options: CachedFilesOptions) {
    this.location = files.location;
    this.#cache = cache;
    this.#files = files;
    this.#options = options;
  }

  async open(name: string): Promise<ByteSource | undefined> {
    const file = await this.#file(name, () => this.#files.open(name));
    return file && blobSource(file, `${this.location}/${name}`);
  }

  async text(name: string): Promise<string | undefined> {
    const source = async () => {
      const text = await this.#files.text(name);
      return text === undefined ? undefined : memorySource(new TextEncoder().encode(text), name);
    };
    return (await this.#file(name, source))?.text();
  }

  /** A file is asked for once, however many read it. */
  #file(name: string, remote: () => Promise<ByteSource | undefined>): Promise<File | undefined> {
    const opening = this.#opening.get(name) ?? this.#find(name, remote);
    this.#opening.set(name, opening);
    opening.catch(() => this.#opening.delete(name));
    return opening;
  }

  async #find(name: string, remote: () => Promise<ByteSource | undefined>): Promise<File | undefined> {
    const folder = await this.#cache.folder(this.location);
    // One download of a file at a time among all pages; the others find it when it is there.
    return locked(`${folder.name} ${name}`, async () => {
      const index = await readIndex(folder);
      if (index?.missing.includes(name)) return undefined;
      const size = index?.files[name];
      const file = size === undefined ? undefined : await readFile(folder, fileName(name));
      if (!file || file.size !== size) return this.#download(folder, name, await remote());
      if (!this.#used) await updateIndex(folder, this.location, (same) => same);
      this.#used = true;
      return file;
    });
  }

  async #download(
    folder: FileSystemDirectoryHandle,
    name: string,
    source: ByteSource | undefined,
  ): Promise<File | undefined> {
    if (!source) {
      await updateIndex(folder, this.location, (index) => ({ ...index, missing: [...index.missing, name] }));
      return undefined;
    }
    try {
      await this.#cache.makeRoom(this.location, name, source.size);
      await this.#write(folder, name, source);
    } finally {
      await source.close();
    }
    await updateIndex(folder, this.location, (index) => ({ ...index, files: { ...index.files, [name]: source.size } }));
    return readFile(folder, fileName(name));
  }

  /** Where the browser's quota is full, other locations make room, the one used longest ago first. */
  async #write(folder: FileSystemDirectoryHandle, name: string, source: ByteSource): Promise<void> {
    for (;;) {
      try {
        return await writeFile(folder, fileName(name), this.#pieces(name, source));
      } catch (cause) {
        if (!isNamed(cause, 'QuotaExceededError')) throw cause;
        if (await this.#cache.evictOne(this.location)) continue;
        const { quota, usage } = await navigator.storage.estimate();
        const message = `${source.name} takes ${source.size} bytes, the browser gives this site ${quota} in all: free some, or open the checkpoint without a cache`;
        throw new CheckpointError('cache-full', message, { file: name, bytes: source.size, quota, usage }, { cause });
      }
    }
  }

  async *#pieces(name: string, source: ByteSource): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { signal, onProgress } = this.#options;
    const { size } = source;
    const read = (at: number) => source.read(at, Math.min(PIECE, size - at));
    let next = size > 0 ? read(0) : undefined;
    for (let at = 0; next;) {
      const piece = await next;
      if (signal?.aborted) {
        throw new CheckpointError(
          'aborted',
          `download of ${source.name} was aborted`,
          { name },
          { cause: signal.reason },
        );
      }
      at += piece.byteLength;
      next = at < size ? read(at) : undefined;
      // A failure is thrown where the piece is awaited.
      next?.catch(() => {});
      yield piece;
      onProgress?.({ file: name, loaded: at, total: size });
    }
  }
}
