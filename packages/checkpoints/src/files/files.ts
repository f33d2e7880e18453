// Where a checkpoint's files come from: a folder, an HTTP(S) base address, or memory.
import { CheckpointError } from '../errors.ts';
import { requireNode } from '../platform.ts';
import { parseObject, withoutMark } from '../json.ts';
import { brief } from '../quote.ts';
import { fileError, requireFile } from './access.ts';
import type { ByteSource } from './byte-source.ts';
import { fileSource, memorySource } from './byte-source.ts';
import { httpSource } from './http-source.ts';
import type { HttpSourceOptions } from './http-source.ts';
import { isPage } from './page.ts';
import { MAX_TEXT_BYTES, remoteText } from './remote-text.ts';
import { placeOf, readJournal } from './save-journal.ts';

/** Named files of one checkpoint. */
export interface CheckpointFiles {
  /** Shown in messages. */
  readonly location: string;
  /** Opens a file for random access; undefined when it does not exist. */
  open(name: string): Promise<ByteSource | undefined>;
  /** Reads a whole small file as text, without a byte order mark; undefined when it does not exist. */
  text(name: string): Promise<string | undefined>;
  /** Whether the place itself is there, whatever is in it; absent where that cannot be told. */
  exists?(): Promise<boolean>;
  /** Names of the files that are there; absent where they cannot be listed. */
  list?(): Promise<readonly string[]>;
}

/** A folder on disk (Node only). @throws CheckpointError from its methods: `unsupported` without Node, `file-access` for what is there and cannot be read */
export function folderFiles(folder: string): CheckpointFiles {
  const files = () =>
    requireNode(
      'node:fs/promises',
      `the folder ${folder}`,
      'give an http(s):// address, hf://owner/name, memoryFiles or hubFiles',
    );
  const base = folder.replace(/(?<=.)\/+$/, '');
  /** Reads a file where it is: a save that was broken off after it was decided may have it staged, or no longer. */
  const there = async <T>(name: string, read: (place: string) => Promise<T>): Promise<{ value: T } | undefined> => {
    const place = await placeOf(files(), base, name);
    const value = place === undefined ? undefined : await optional(read(place));
    if (value !== undefined) return { value };
    // Renamed between the two looks.
    const moved =
      place === undefined || place === `${base}/${name}` ? undefined : await optional(read(`${base}/${name}`));
    return moved === undefined ? undefined : { value: moved };
  };
  return {
    location: folder,
    open: async (name) => (await there(name, (place) => fileSource(place)))?.value,
    text: async (name) => (await there(name, async (place) => textOf(place, files())))?.value,
    exists: async () =>
      files()
        .stat(folder)
        .then(
          (found) => found.isDirectory(),
          (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
        ),
    list: async () => {
      const names = await files()
        .readdir(folder)
        .catch(() => []);
      const journal = await readJournal(files(), base);
      const removed = new Set(journal?.removed);
      return [...new Set([...names, ...Object.keys(journal?.files ?? {})])].filter((name) => !removed.has(name));
    },
  };
}

/**
 * Files below an HTTP(S) address, e.g. `http://127.0.0.1:8080/my-model`; weights are read by range requests ({@link httpSource}). A web
 * page in place of a file, as servers of single-page apps send it, says that the file is not there.
 */
export function httpFiles(base: string, options: HttpSourceOptions = {}): CheckpointFiles {
  const url = (name: string) => `${base.replace(/\/+$/, '')}/${name}`;
  return {
    location: base,
    open: (name) => optional(httpSource(url(name), options)),
    text: async (name) => {
      const text = await optional(remoteText(url(name), options));
      return text === undefined || isPage(text) ? undefined : text;
    },
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

/** Reads a JSON object; undefined when the file does not exist. @throws CheckpointError `invalid-config` when it is no object, or nested too deep. */
export async function readJson(files: CheckpointFiles, name: string): Promise<Record<string, unknown> | undefined> {
  const text = await files.text(name);
  return text === undefined ? undefined : parseObject(text, `${files.location}/${name}`, name);
}

/**
 * A file that a checkpoint may do without: servers that do not say 404 of what they lack (S3 says 403, some 416) are taken to lack it.
 *
 * @throws CheckpointError as reading throws otherwise
 */
export async function optionalText(files: CheckpointFiles, name: string): Promise<string | undefined> {
  try {
    const text = await files.text(name);
    return text === undefined || isPage(text) ? undefined : withoutMark(text);
  } catch (error) {
    const status = error instanceof CheckpointError && error.code === 'network' ? error.details['status'] : undefined;
    if (status === 403 || status === 416) return undefined;
    throw error;
  }
}

/** A JSON object that a checkpoint may do without, as {@link optionalText}. @throws CheckpointError `invalid-config`, and what reading throws */
export async function optionalJson(files: CheckpointFiles, name: string): Promise<Record<string, unknown> | undefined> {
  const text = await optionalText(files, name);
  return text === undefined ? undefined : parseObject(text, `${files.location}/${name}`, name);
}

/** A small file on disk. */
async function textOf(path: string, files: typeof import('node:fs/promises')): Promise<string> {
  const failed = (cause: unknown) => Promise.reject(fileError(path, cause));
  const found = await files.stat(path).catch(failed);
  requireFile(path, found);
  if (found.size > MAX_TEXT_BYTES) {
    const message = `${brief(path)} has ${found.size} bytes, at most ${MAX_TEXT_BYTES} are read of it`;
    throw new CheckpointError('file-access', message, { path, size: found.size });
  }
  return withoutMark(await files.readFile(path, 'utf8').catch(failed));
}

async function optional<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'file-not-found') return undefined;
    throw error;
  }
}
