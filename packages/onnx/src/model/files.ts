// Where a model's files come from: a folder, addresses, or memory. Files are read by ranges, never whole.
import { OnnxError } from '../errors.ts';

/** Random access to the bytes of one file. `@hip/checkpoints`' `ByteSource` is one. */
export interface OnnxFile {
  readonly name: string;
  readonly size: number;
  /** Reads exactly `length` bytes at `offset`. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Named files of a model; `@hip/checkpoints`' `CheckpointFiles` (folders, HTTP ranges, the Hub) is one. */
export interface OnnxFiles {
  /** Shown in messages. */
  readonly location: string;
  /** Opens a file; undefined where there is none of that name. */
  open(name: string): Promise<OnnxFile | undefined>;
}

/** @throws OnnxError `missing-data` for bytes that are not there */
export function requireRange(name: string, size: number, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new OnnxError(
    'missing-data',
    `${name} has ${size} bytes, of which ${length} at ${offset} were asked for: is the file cut short?`,
    { name, size, offset, length },
  );
}

/** Bytes in memory; reading gives views of them, not copies. */
export function bytesFile(bytes: Uint8Array | Blob, name = 'memory'): OnnxFile {
  const size = bytes instanceof Uint8Array ? bytes.byteLength : bytes.size;
  return {
    name,
    size,
    read: async (offset, length) => {
      requireRange(name, size, offset, length);
      if (bytes instanceof Uint8Array) return bytes.subarray(offset, offset + length);
      return new Uint8Array(await bytes.slice(offset, offset + length).arrayBuffer());
    },
    close: async () => {},
  };
}

/** Files in memory, by name. */
export function memoryFiles(files: Readonly<Record<string, Uint8Array | Blob>>, location = 'memory'): OnnxFiles {
  return {
    location,
    open: async (name) => {
      const bytes = Object.hasOwn(files, name) ? files[name] : undefined;
      return bytes && bytesFile(bytes, name);
    },
  };
}

/** Node's file system, or an error that says what to give instead. */
export function requireNode(what: string): typeof import('node:fs/promises') {
  const module = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  if (module) return module;
  throw new OnnxError('unsupported', `${what} needs Node, which this is not: give the files' bytes or OnnxFiles`, {});
}

/** The files of a folder (Node only). Errors of its methods: `file-access`, `unsupported` without Node. */
export function folderFiles(folder: string): OnnxFiles {
  return { location: folder, open: (name) => openFile(folder === '' ? name : `${folder}/${name}`, name) };
}

async function openFile(path: string, name: string): Promise<OnnxFile | undefined> {
  const { open, stat } = requireNode(`the file ${path}`);
  const failed = (cause: unknown): never => {
    const { code, message } = Object(cause) as NodeJS.ErrnoException;
    throw new OnnxError('file-access', `cannot read ${path}: ${message}`, { path, code }, { cause });
  };
  const found = await stat(path).catch((cause: unknown) => {
    const { code } = Object(cause) as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : failed(cause);
  });
  if (!found) return undefined;
  if (!found.isFile()) throw new OnnxError('file-access', `${path} is no plain file`, { path });
  const handle = await open(path).catch(failed);
  return {
    name,
    size: found.size,
    read: async (offset, length) => {
      requireRange(path, found.size, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done).catch(failed);
        if (bytesRead === 0) requireRange(path, offset + done, offset, length);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
