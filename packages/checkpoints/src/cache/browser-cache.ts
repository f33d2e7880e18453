// The browser's cache of checkpoints: what one visit downloads the next one reads from disk, without the network.
import type { CheckpointFiles } from '../files/files.ts';
import { CachedFiles } from './cached-files.ts';
import type { CachedFilesOptions } from './cached-files.ts';
import { entryBytes, folderName } from './entry.ts';
import { openFolder, remove } from './folder.ts';
import { FolderCache } from './room.ts';

export type { CachedFilesOptions } from './cached-files.ts';

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
