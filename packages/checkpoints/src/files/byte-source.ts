// Random access to bytes: memory and files (Node) behind one small interface, which HTTP range requests have too.
import { CheckpointError } from '../errors.ts';
import { requireNode } from '../platform.ts';
import { closeOnError, fileError, requireFile, requireRange } from './access.ts';

/** Random access to the bytes of one file. */
export interface ByteSource {
  /** Where the bytes come from, for messages. */
  readonly name: string;
  readonly size: number;
  /**
   * Reads exactly `length` bytes at `offset`.
   *
   * @param into room for them, which a source may fill in place of memory of its own: what is returned says where they are
   * @throws CheckpointError when they are not there
   */
  read(offset: number, length: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Bytes already in memory. @throws CheckpointError `invalid-safetensors` from `read` beyond their end */
export function memorySource(bytes: Uint8Array, name = 'memory'): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read: async (offset, length) => {
      requireRange(name, bytes.byteLength, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    close: async () => {},
  };
}

/**
 * A file on disk (Node only).
 *
 * @throws CheckpointError `file-not-found`, `file-access` (a folder, a FIFO, no permission), `unsupported` without Node
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const { constants, open, stat } = requireNode(
    'node:fs/promises',
    `the file ${path}`,
    'give bytes (memorySource) or an address',
  );
  // Opening a FIFO would wait for somebody to write into it.
  requireFile(path, await stat(path).catch((cause: unknown) => Promise.reject(fileError(path, cause))));
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((cause: unknown) => {
    throw fileError(path, cause);
  });
  const source: ByteSource = {
    name: path,
    size: 0,
    read: async (offset, length, into) => {
      requireRange(path, source.size, offset, length);
      const bytes = into && into.byteLength >= length ? into.subarray(0, length) : new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle
          .read(bytes, done, length - done, offset + done)
          .catch((cause: unknown) => Promise.reject(fileError(path, cause)));
        if (bytesRead === 0) {
          throw new CheckpointError('invalid-safetensors', `${path} ended early at byte ${offset + done}`, {
            damage: 'truncated',
            path,
          });
        }
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
  return closeOnError(source, async () => {
    const found = await handle.stat();
    requireFile(path, found);
    return Object.assign(source, { size: found.size });
  });
}
