// Files that are whole or absent: written beside the target, flushed, renamed over it.
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DemoError } from './errors.ts';

/** Makes the folder of a run, where it is not there. @throws DemoError `invalid-option` where nothing can be written to it */
export function makeOut(out: string): void {
  try {
    mkdirSync(out, { recursive: true });
    accessSync(out, constants.W_OK);
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    const reason = ['EEXIST', 'ENOTDIR'].includes(code) ? 'is a file or lies in one' : `cannot be written to (${code})`;
    throw new DemoError('invalid-option', `--out is "${out}", which ${reason}: give a folder of your own`, { cause });
  }
}

/** Writes a file so that a kill at any moment leaves the old content or the new one. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const file = openSync(temporary, 'w');
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** The file's text, or undefined where there is none, or no folder that could hold it. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
