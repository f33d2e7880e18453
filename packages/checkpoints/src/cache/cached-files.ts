// The files of one location through the cache: each downloaded whole when it is first opened, and read from disk ever after.
import { CheckpointError } from '../errors.ts';
import { memorySource } from '../files/byte-source.ts';
import type { ByteSource } from '../files/byte-source.ts';
import type { CheckpointFiles } from '../files/files.ts';
import { blobSource } from '../files/hub.ts';
import { fileName, locked, readIndex, updateIndex } from './entry.ts';
import { isNamed, readFile, writeFile } from './folder.ts';
import type { FolderCache } from './room.ts';

/** Bytes asked for at once: the next piece is under way while one is written. */
const PIECE = 8 * 2 ** 20;

/** Options of the files that a cache makes. */
export interface CachedFilesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of a file downloaded so far, of how many. */
  readonly onProgress?:
    | ((progress: { readonly file: string; readonly loaded: number; readonly total: number }) => void)
    | undefined;
}

/** The files of one location, through the cache. */
export class CachedFiles implements CheckpointFiles {
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
