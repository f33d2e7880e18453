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
