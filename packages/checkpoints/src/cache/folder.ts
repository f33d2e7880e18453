// A folder of the origin private file system: whole files written at once, read as Files, removed.
import { CheckpointError } from '../errors.ts';

/** Writes of one file: in order, then `close`, or `abort` and nothing is left. */
interface Writing {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

/** The root of this package's part. @throws CheckpointError `unsupported` without the origin private file system */
export async function openFolder(name: string): Promise<FileSystemDirectoryHandle> {
  const storage = typeof navigator === 'object' ? navigator.storage : undefined;
  if (typeof storage?.getDirectory !== 'function') {
    const message =
      'a browser cache needs the origin private file system (navigator.storage.getDirectory), which is in pages and workers of secure contexts (https or localhost): open the checkpoint without a cache';
    throw new CheckpointError('unsupported', message, {});
  }
  return (await storage.getDirectory()).getDirectoryHandle(name, { create: true });
}

/** A file, or undefined where there is none. */
export async function readFile(folder: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (isNamed(error, 'NotFoundError')) return undefined;
    throw error;
  }
}

/** Removes a file or folder, if it is there. */
export async function remove(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  try {
    await folder.removeEntry(name, { recursive: true });
  } catch (error) {
    if (!isNamed(error, 'NotFoundError')) throw error;
  }
}

/** Writes a file of pieces; where that fails nothing is left of it. */
export async function writeFile(
  folder: FileSystemDirectoryHandle,
  name: string,
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>> | Iterable<Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const writing = await begin(await folder.getFileHandle(name, { create: true }));
  try {
    for await (const piece of pieces) await writing.write(piece);
    await writing.close();
  } catch (error) {
    await writing.abort();
    await remove(folder, name);
    throw error;
  }
}

/** Whether an error is a DOMException of this name. */
export function isNamed(error: unknown, name: string): boolean {
  return (Object(error) as { readonly name?: unknown }).name === name;
}

async function begin(file: FileSystemFileHandle): Promise<Writing> {
  if (typeof file.createWritable === 'function') {
    const stream = await file.createWritable();
    return { write: (bytes) => stream.write(bytes), close: () => stream.close(), abort: () => stream.abort() };
  }
  // Older Safari: in workers only.
  const open = (file as { createSyncAccessHandle?: () => Promise<SyncAccess> }).createSyncAccessHandle;
  if (typeof open !== 'function') {
    throw new CheckpointError(
      'unsupported',
      'this browser writes its private files in workers only: open the checkpoint in one',
      {},
    );
  }
  const handle = await open.call(file);
  let at = 0;
  handle.truncate(0);
  return {
    write: async (bytes) => {
      at += handle.write(bytes, { at });
    },
    close: async () => {
      handle.flush();
      handle.close();
    },
    abort: async () => handle.close(),
  };
}

interface SyncAccess {
  write(bytes: Uint8Array<ArrayBuffer>, options: { readonly at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}
