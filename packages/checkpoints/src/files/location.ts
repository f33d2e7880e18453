// A checkpoint's place in words: a folder, an http(s):// address, hf://owner/name.
import type { HttpSourceOptions } from './byte-source.ts';
import type { CheckpointFiles } from './files.ts';
import { folderFiles, httpFiles } from './files.ts';
import { hubFiles } from './hub.ts';

/**
 * The files at a place: `hf://owner/name[@revision]` on the Hub, an `http(s)://` address (range requests), else a folder (Node).
 *
 * @throws CheckpointError from the methods of what it returns
 *
 * @example
 * ```ts
 * import { filesAt } from '@hip/checkpoints';
 *
 * console.log(filesAt('hf://Qwen/Qwen3-0.6B@main').location); // hf://Qwen/Qwen3-0.6B@main
 * ```
 */
export function filesAt(location: string, options: HttpSourceOptions = {}): CheckpointFiles {
  const hub = /^hf:\/\/([^@]+)(?:@(.+))?$/.exec(location);
  if (hub) return hubFiles(hub[1] as string, { ...options, ...(hub[2] !== undefined && { revision: hub[2] }) });
  return /^https?:\/\//.test(location) ? httpFiles(location, options) : folderFiles(location);
}
