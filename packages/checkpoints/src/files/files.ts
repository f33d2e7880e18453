// Where a checkpoint's files come from: a folder, an HTTP(S) base address, or memory.
import { CheckpointError } from '../errors.ts';
import { requireNode } from '../platform.ts';
import type { ByteSource, HttpSourceOptions } from './byte-source.ts';
import { fileSource, httpSource, memorySource, request } from './byte-source.ts';

/** Named files of one checkpoint. */
export interface CheckpointFiles {
  /** Shown in messages. */
  readonly location: string;
  /** Opens a file for random access; undefined when it does not exist. */
  open(name: string): Promise<ByteSource | undefined>;
  /** Reads a whole small file as text; undefined when it does not exist. */
  text(name: string): Promise<string | undefined>;
  /** Whether the place itself is there, whatever is in it; absent where that cannot be told. */
  exists?(): Promise<boolean>;
  /** Names of the files that are there; absent where they cannot be listed. */
  list?(): Promise<readonly string[]>;
}

/** A folder on disk (Node only). @throws CheckpointError from its methods: `unsupported` without Node, `file-not-found` for what cannot be read */
export function folderFiles(folder: string): CheckpointFiles {
  const files = () =>
    requireNode(
      'node:fs/promises',
      `the folder ${folder}`,
      'give an http(s):// address, hf://owner/name, memoryFiles or hubFiles',
    );
  const path = (name: string) => `${folder.replace(/\/+$/, '')}/${name}`;
  return {
    location: folder,
    open: (name) => optional(fileSource(path(name))),
    text: async (name) =>
      files()
        .readFile(path(name), 'utf8')
        .catch((cause: NodeJS.ErrnoException) => {
          if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return undefined;
          throw new CheckpointError('file-not-found', `cannot read ${path(name)}`, { path: path(name) }, { cause });
        }),
    exists: async () =>
      files()
        .stat(folder)
        .then(
          (found) => found.isDirectory(),
          (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
        ),
    list: async () =>
      files()
        .readdir(folder)
        .catch(() => []),
  };
}

/** Files below an HTTP(S) address, e.g. `http://127.0.0.1:8080/my-model`; weights are read by range requests. */
export function httpFiles(base: string, options: HttpSourceOptions = {}): CheckpointFiles {
  const url = (name: string) => `${base.replace(/\/+$/, '')}/${name}`;
  return {
    location: base,
    open: (name) => optional(httpSource(url(name), options)),
    text: async (name) => (await optional(request(url(name), options)))?.text(),
  };
}

/** Files in memory. */
export function memoryFiles(files: ReadonlyMap<string, Uint8Array>, location = 'memory'): CheckpointFiles {
  return {
    location,
    open: async (name) => {
      const bytes = files.get(name);
      return bytes && memorySource(bytes, name);
    },
    text: async (name) => {
      const bytes = files.get(name);
      return bytes && new TextDecoder().decode(bytes);
    },
    list: async () => [...files.keys()],
  };
}

/** Reads a JSON object; undefined when the file does not exist. @throws CheckpointError `invalid-config` when it is no object. */
export async function readJson(files: CheckpointFiles, name: string): Promise<Record<string, unknown> | undefined> {
  const text = await files.text(name);
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError('invalid-config', `${files.location}/${name} is not JSON`, { name }, { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new CheckpointError('invalid-config', `${files.location}/${name} is no JSON object`, { name });
  }
  return json as Record<string, unknown>;
}

async function optional<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'file-not-found') return undefined;
    throw error;
  }
}
