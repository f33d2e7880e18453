// Where prefixes are kept: a folder in Node, the origin private file system in a page, or anything else that keeps bytes by name.
import { requireNode } from '@hip/checkpoints/platform';
import { LlmError } from '../errors.ts';
import type { ByteInput } from './frames.ts';

/** Keeps bytes by key. A key is of letters and digits. */
export interface PrefixStore {
  /** What was written under a key; undefined where nothing was. */
  read(key: string): Promise<ByteInput | undefined>;
  /** Writes all pieces, or leaves nothing new behind. */
  write(key: string, pieces: AsyncIterable<Uint8Array<ArrayBuffer>>): Promise<void>;
  /** Removes what is under a key, if anything is. */
  delete(key: string): Promise<void>;
}

/** Bytes read at a time. */
const READ_BYTES = 2 ** 20;

/**
 * A store in a folder of this machine, which is made where it is missing; a file a key, there whole or not at all.
 *
 * @throws CheckpointError `unsupported` without Node
 *
 * @example
 * ```ts
 * import { folderStore } from '@hip/llm';
 *
 * const store = folderStore('./.prefixes');
 * console.log(await store.read('nothing')); // => undefined
 * ```
 */
export function folderStore(folder: string): PrefixStore {
  const instead = 'use browserStore(), or a PrefixStore of your own';
  const files = requireNode('node:fs/promises', `a store in the folder ${folder}`, instead);
  const path = (key: string) => `${folder}/${requireKey(key)}.prefix`;
  return {
    read: async (key) => {
      const file = await files.open(path(key), 'r').catch(unlessMissing);
      return file && readAll(file);
    },
    write: async (key, pieces) => {
      await files.mkdir(folder, { recursive: true });
      const part = `${path(key)}.${Math.random().toString(36).slice(2)}.part`;
      try {
        await files.writeFile(part, pieces, { flush: true });
        await files.rename(part, path(key));
      } catch (error) {
        await files.rm(part, { force: true });
        throw error;
      }
    },
    delete: async (key) => files.rm(path(key), { force: true }),
  };
}

async function* readAll(
  file: Awaited<ReturnType<typeof import('node:fs/promises').open>>,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(READ_BYTES), 0, READ_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * A store in the origin private file system of a page or worker.
 *
 * @param name - of its folder there
 * @throws LlmError `unsupported` where the browser has none, or writes to it in workers only
 */
export async function browserStore(name = 'hip-llm-prefixes'): Promise<PrefixStore> {
  const storage = (globalThis.navigator as Navigator | undefined)?.storage;
  if (
    typeof storage?.getDirectory !== 'function' ||
    typeof FileSystemFileHandle.prototype.createWritable !== 'function'
  ) {
    const message =
      'a store in a browser needs the origin private file system and createWritable (secure contexts; Safari 26): use a PrefixStore of your own, or none';
    throw new LlmError('unsupported', message, { name });
  }
  const folder = await (await storage.getDirectory()).getDirectoryHandle(name, { create: true });
  const ifThere = async <T>(action: Promise<T>): Promise<T | undefined> =>
    action.catch((error: unknown) => {
      if ((Object(error) as { readonly name?: unknown }).name === 'NotFoundError') return undefined;
      throw error;
    });
  return {
    read: async (key) => (await ifThere(folder.getFileHandle(requireKey(key))))?.getFile(),
    write: async (key, pieces) => {
      // Closing puts the whole file in place.
      const stream = await (await folder.getFileHandle(requireKey(key), { create: true })).createWritable();
      try {
        for await (const piece of pieces) await stream.write(piece);
        await stream.close();
      } catch (error) {
        await stream.abort().catch(() => undefined);
        throw error;
      }
    },
    delete: async (key) => {
      await ifThere(folder.removeEntry(requireKey(key)));
    },
  };
}

/** What keys may be: nothing that leads elsewhere. */
function requireKey(key: string): string {
  if (/^[\da-zA-Z]+$/.test(key)) return key;
  throw new LlmError('invalid-input', `the key is ${JSON.stringify(key)}: give letters and digits`, { key });
}

function unlessMissing(error: unknown): undefined {
  if ((Object(error) as { readonly code?: unknown }).code === 'ENOENT') return undefined;
  throw error;
}
