// What reading a file asks first, and what the system says about it in typed words.
import { CheckpointError } from '../errors.ts';
import { brief } from '../quote.ts';

/** Runs an action that needs an open source; where it fails, the source is closed. */
export async function closeOnError<T>(source: { close(): Promise<void> }, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    await source.close().catch(() => {});
    throw error;
  }
}

/** What a system call said about a file. */
export function fileError(path: string, cause: unknown): CheckpointError {
  const { code, message } = Object(cause) as { readonly code?: unknown; readonly message?: unknown };
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new CheckpointError('file-not-found', `there is no file ${brief(path)}`, { path }, { cause });
  }
  return new CheckpointError(
    'file-access',
    `cannot read ${brief(path)}: ${String(message)}`,
    { path, code },
    { cause },
  );
}

/** @throws CheckpointError `file-access` for what is no plain file */
export function requireFile(
  path: string,
  found: { isFile(): boolean; isDirectory(): boolean; isFIFO(): boolean },
): void {
  if (found.isFile()) return;
  const what = found.isDirectory() ? 'a folder' : found.isFIFO() ? 'a FIFO' : 'a device or socket';
  throw new CheckpointError('file-access', `${brief(path)} is ${what}, expected a file`, { path, what });
}

/** @throws CheckpointError `invalid-safetensors` for bytes that are not there */
export function requireRange(name: string, size: number, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw new CheckpointError(
      'invalid-safetensors',
      `${name} has ${size} bytes: cannot read ${length} bytes at ${offset} (file truncated?)`,
      { damage: 'truncated', name, size, offset, length },
    );
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space',
  EDQUOT: 'the quota of disk space is used up',
  EROFS: 'the file system is read-only: write to another place',
  EACCES: 'permission is denied',
  EPERM: 'that is not permitted',
  EEXIST: 'a file is in the way',
  ENOTDIR: 'a file is in the way',
  EISDIR: 'a folder is in the way',
};

/** What a system call said about writing. @param outcome - what became of the files that were there */
export function writeError(path: string, cause: unknown, outcome = ''): unknown {
  const { code, message, syscall } = Object(cause) as { readonly code?: unknown; message?: unknown; syscall?: unknown };
  // Errors that are typed already, and those of the chunks.
  if (cause instanceof CheckpointError || typeof code !== 'string' || syscall === undefined) return cause;
  const reason = REASONS[code] ?? String(message);
  return new CheckpointError(
    'file-access',
    `cannot write ${brief(path)}: ${reason} (${code})${outcome}`,
    { path, code },
    { cause },
  );
}
