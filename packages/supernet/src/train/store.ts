// Where training state is kept: a file that is replaced atomically, or memory.
import { SupernetError } from '../errors.ts';
import { requireNode } from '../node-modules.ts';

/** Keeps the newest state. `save` must replace the old state as a whole or not at all. */
export interface StateStore {
  save(chunks: Iterable<Uint8Array>): Promise<void>;
  /** The newest state, or undefined. */
  load(): Promise<Uint8Array | undefined>;
}

/**
 * A file on disk (Node only). Written beside the target, flushed, then renamed over it: a crash leaves the old state or the new one.
 *
 * @throws SupernetError from its methods: `unsupported` without Node, `file-not-found` for a state that cannot be read
 *
 * @example
 * ```ts
 * await fineTune(model, data, { steps: 1000, checkpoint: { store: fileStore('out/state.safetensors') } });
 * ```
 */
export function fileStore(path: string): StateStore {
  return {
    async save(chunks) {
      const { files, paths } = modules(path);
      const { mkdir, open, rename, rm } = files;
      await mkdir(paths.dirname(path), { recursive: true });
      const temporary = `${path}.${process.pid}.tmp`;
      const file = await open(temporary, 'w');
      try {
        for (const chunk of chunks) await file.writeFile(chunk);
        await file.sync();
        await file.close();
        await rename(temporary, path);
      } catch (error) {
        await file.close().catch(() => {});
        await rm(temporary, { force: true });
        throw error;
      }
    },
    async load() {
      const { files } = modules(path);
      await removeLeftovers(path);
      try {
        return new Uint8Array(await files.readFile(path));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw new SupernetError('file-not-found', `cannot read the training state ${path}`, { path }, { cause });
      }
    },
  };
}

function modules(path: string) {
  const instead = 'use memoryStore, or a StateStore of your own';
  const load = <Name extends 'node:fs/promises' | 'node:path'>(name: Name) =>
    requireNode(name, `the training state ${path}`, instead);
  return { files: load('node:fs/promises'), paths: load('node:path') };
}

/** Removes what processes that were killed while saving left beside the state: each is as large as the state. */
async function removeLeftovers(path: string): Promise<void> {
  const { files, paths } = modules(path);
  const folder = paths.dirname(path);
  for (const name of await files.readdir(folder).catch(() => [])) {
    if (!name.startsWith(`${paths.basename(path)}.`)) continue;
    const [, pid] = /^\.(\d+)\.tmp$/.exec(name.slice(paths.basename(path).length)) ?? [];
    if (pid !== undefined && !isRunning(Number(pid))) await files.rm(paths.join(folder, name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Keeps the state in memory: tests, browsers. */
export function memoryStore(): StateStore {
  let held: Uint8Array | undefined;
  return {
    async save(chunks) {
      const parts = [...chunks];
      const bytes = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
      let position = 0;
      for (const part of parts) {
        bytes.set(part, position);
        position += part.byteLength;
      }
      held = bytes;
    },
    load: async () => held,
  };
}
