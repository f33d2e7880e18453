// A checkpoint's place in words: a folder, an http(s):// address, hf://owner/name.
import type { HttpSourceOptions } from './http-source.ts';
import type { CheckpointFiles } from './files.ts';
import { folderFiles, httpFiles } from './files.ts';
import { hubFiles } from './hub.ts';

/** Files, and the GGUF among them that a location names. */
export interface Place {
  readonly files: CheckpointFiles;
  readonly gguf?: string;
}

/**
 * The files at a place: `hf://owner/name[@revision]` on the Hub, an `http(s)://` address (range requests), else a folder (Node). What ends
 * in `.gguf` is a file in such a place.
 *
 * @throws CheckpointError from the methods of the files
 *
 * @example
 * ```ts
 * import { locate } from '@hip/checkpoints';
 *
 * const { files, gguf } = locate('hf://Qwen/Qwen3-0.6B-GGUF@main/Qwen3-0.6B-Q8_0.gguf');
 * console.log(files.location, gguf); // => hf://Qwen/Qwen3-0.6B-GGUF@main Qwen3-0.6B-Q8_0.gguf
 * ```
 */
export function locate(location: string, options: HttpSourceOptions = {}): Place {
  if (location.startsWith('hf://')) {
    const { repo, revision, gguf } = hubPlace(location.slice('hf://'.length));
    const files = hubFiles(repo, { ...options, ...(revision !== undefined && { revision }) });
    return { files, ...(gguf !== undefined && { gguf }) };
  }
  const [, base = location, gguf] = /^(.*?)([^/\\]+\.gguf)$/i.exec(location) ?? [];
  const folder = gguf === undefined ? location : base || '.';
  const files = /^https?:\/\//.test(location) ? httpFiles(folder, options) : folderFiles(folder);
  return { files, ...(gguf !== undefined && { gguf }) };
}

/** owner/name, then a path to a GGUF, or @ and a revision with a GGUF behind it. */
function hubPlace(place: string): { readonly repo: string; readonly revision?: string; readonly gguf?: string } {
  const [, name = place, versioned] = /^([^@]*)@(.*)$/.exec(place) ?? [];
  if (versioned !== undefined) {
    const [, revision = versioned, gguf] = /^(.+?)(?:\/([^/]+\.gguf))?$/i.exec(versioned) ?? [];
    return { repo: name, revision, ...(gguf !== undefined && { gguf }) };
  }
  const [, repo = name, gguf] = /^([^/]+\/[^/]+)\/(.+\.gguf)$/i.exec(name) ?? [];
  return { repo, ...(gguf !== undefined && { gguf }) };
}
