// Where training state is kept: a file that is replaced atomically, or memory.
import { acquireLock, writeError, type FileLock } from '@hip/checkpoints';
import { SupernetError } from '../../errors.ts';
import { requireNode } from '../../node-modules.ts';

/** Keeps the newest state. `save` must replace the old state as a whole or not at all. */
export interface StateStore {
  save(chunks: Iterable<Uint8Array>): Promise<void>;
  /** The newest state, or undefined. */
  load(): Promise<Uint8Array | undefined>;
  /**
   * Takes the store for one run until it is disposed; `save` then refuses where another one has taken it since. Stores without it do not
   * notice a second run.
   *
   * @throws where another run has it
   */
  claim?(): Promise<AsyncDisposable>;
}

/**
 * A file on disk (Node only). Written beside the target, flushed, then renamed over it: a crash leaves the old state or the new one. One
 * run at a time: a lock beside it (`PATH.lock`) says whose it is; that of a process that is gone is taken over.
 *
 * @throws SupernetError from its methods: `unsupported` without Node, `file-access` for a state that cannot be read or written (a full or
 * read-only disk, another run)
 *
 * @example
 * ```ts
 * await fineTune(model, data, { steps: 1000, checkpoint: { store: fileStore('out/state.safetensors') } });
 * ```
 */
export function fileStore(path: string): StateStore {
  let lock: FileLock | undefined;
  return {
    async save(chunks) {
      const { files, paths } = modules(path);
      const { mkdir, open, rename, rm } = files;
      const folder = paths.dirname(path);
      const temporary = `${path}.${process.pid}.tmp`;
      const written = async (): Promise<void> => {
        await mkdir(folder, { recursive: true });
        const file = await open(temporary, 'w');
        try {
          for (const chunk of chunks) await file.writeFile(chunk);
          await file.sync();
        } finally {
          await file.close();
        }
        await lock?.confirm();
        await rename(temporary, path);
        // The new name itself, where the system flushes folders.
        const entries = await open(folder, 'r').catch(() => undefined);
        await entries?.sync().catch(() => {});
        await entries?.close();
      };
      await written().catch(async (cause: unknown) => {
        await rm(temporary, { force: true }).catch(() => {});
        throw writeError(path, cause, ': the state that was there stays');
      });
    },
    async load() {
      const { files } = modules(path);
      await removeLeftovers(path);
      try {
        return new Uint8Array(await files.readFile(path));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw new SupernetError('file-access', `cannot read the training state ${path}`, { path }, { cause });
      }
    },
    async claim() {
      const { files, paths } = modules(path);
      await files.mkdir(paths.dirname(path), { recursive: true }).catch((cause: unknown) => {
        throw writeError(path, cause);
      });
      const own = await acquireLock(`${path}.lock`, `the training state ${path}`);
      lock = own;
      return {
        [Symbol.asyncDispose]: async () => {
          if (lock === own) lock = undefined;
          await own[Symbol.asyncDispose]();
        },
      };
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

/** Keeps the state in memory: tests, browsers. One run at a time. */
export function memoryStore(): StateStore {
  let held: Uint8Array | undefined;
  let isTaken = false;
  return {
    async claim() {
      if (isTaken) {
        const message = 'another run has this store: give each run a store of its own, or wait for the other one';
        throw new SupernetError('file-access', message);
      }
      isTaken = true;
      return {
        [Symbol.asyncDispose]: async () => {
          isTaken = false;
        },
      };
    },
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
