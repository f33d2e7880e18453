// One location's part of the cache: which of its files are kept, and which it is known not to have.
import { CheckpointError } from '../errors.ts';
import { isNamed, readFile, writeFile } from './folder.ts';

const INDEX = 'index.json';

/** What is known of a location. */
export interface EntryIndex {
  readonly location: string;
  /** Bytes of each file that is kept. */
  readonly files: Readonly<Record<string, number>>;
  /** Files that the location does not have. */
  readonly missing: readonly string[];
  /** Milliseconds since 1970. */
  readonly usedAt: number;
}

/** The index of a folder; undefined where it is none of this package's, or was never finished. */
export async function readIndex(folder: FileSystemDirectoryHandle): Promise<EntryIndex | undefined> {
  // A file that is written again cannot be read any more by who opened it before.
  return locked(folder.name, async () => readUnlocked(folder));
}

async function readUnlocked(folder: FileSystemDirectoryHandle): Promise<EntryIndex | undefined> {
  const text = await (await readFile(folder, INDEX))?.text();
  try {
    const index = text === undefined ? undefined : (JSON.parse(text) as Partial<EntryIndex>);
    return index?.location !== undefined && index.files && index.missing ? (index as EntryIndex) : undefined;
  } catch {
    return undefined;
  }
}

/** Changes the index under a lock that all pages of the origin share. */
export async function updateIndex(
  folder: FileSystemDirectoryHandle,
  location: string,
  change: (index: EntryIndex) => EntryIndex,
): Promise<void> {
  await locked(folder.name, async () => {
    const index = (await readUnlocked(folder)) ?? { location, files: {}, missing: [], usedAt: 0 };
    const text = JSON.stringify({ ...change(index), usedAt: Date.now() });
    await writeFile(folder, INDEX, [new TextEncoder().encode(text)]).catch((cause: unknown) => {
      if (!isNamed(cause, 'QuotaExceededError')) throw cause;
      const message = `the browser has no room for the index of ${location}: free some, or open the checkpoint without a cache`;
      throw new CheckpointError('cache-full', message, { location }, { cause });
    });
  });
}

/** Bytes of all kept files. */
export function entryBytes(index: EntryIndex): number {
  return Object.values(index.files).reduce((sum, bytes) => sum + bytes, 0);
}

/** Name of a location's folder: locations have slashes and may be long. */
export async function folderName(location: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(location));
  return Array.from(new Uint8Array(digest, 0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Name of a kept file: those in sub-folders have slashes. */
export function fileName(name: string): string {
  return `file-${encodeURIComponent(name)}`;
}

/** Runs one at a time among all pages and workers of the origin. */
export async function locked<T>(name: string, action: () => Promise<T>): Promise<T> {
  // Promises of promises are flattened at run time; the types say so from TypeScript 6 on.
  return (await navigator.locks.request(`hip-checkpoints ${name}`, action)) as T;
}
