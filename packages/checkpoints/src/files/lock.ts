// One process at a time: a file that says who writes, kept fresh while it does, taken over when its owner is gone.
import { CheckpointError } from '../errors.ts';
import { nodeModule, requireNode } from '../platform.ts';
import { brief } from '../quote.ts';
import { writeError } from './access.ts';

/** Milliseconds between two signs of life, and without one until a lock counts as left behind. */
const BEAT_MS = 5_000;
const STALE_MS = 60_000;

interface Owner {
  readonly token: string;
  readonly pid: number;
  readonly host: string;
  /** Process-id namespace: where pids mean the same. */
  readonly space: string;
  /** When the process began, by the system's clock ticks: pids are used again. */
  readonly begun: string;
}

/** A lock that is held. */
export interface FileLock extends AsyncDisposable {
  /** Call before what must not happen twice. @throws CheckpointError `file-access` when another process has taken the lock over */
  confirm(): Promise<void>;
}

/**
 * Takes a lock.
 *
 * @param what - what it is for, for messages: `the training state run.safetensors`
 * @throws CheckpointError `file-access` while another one holds it, or when it cannot be written; `unsupported` without Node
 */
export async function acquireLock(path: string, what: string): Promise<FileLock> {
  const files = requireNode('node:fs/promises', what, 'lock it by other means');
  const own: Owner = { token: crypto.randomUUID(), pid: process.pid, ...(await identity(process.pid)) };
  const text = JSON.stringify(own);
  const read = async (): Promise<Partial<Owner> | undefined> => {
    const found = await files.readFile(path, 'utf8').catch(() => undefined);
    try {
      return found === undefined ? undefined : (JSON.parse(found) as Partial<Owner>);
    } catch {
      return {};
    }
  };
  /** Writes the lock unless there is one. A link is made of a whole file: nobody reads half of it. */
  const write = async (): Promise<boolean> => {
    const temporary = `${path}.${own.token}`;
    try {
      await files.writeFile(temporary, text, { flag: 'wx' });
      await files.link(temporary, path);
      return true;
    } catch (cause) {
      // Tidied away by the one who holds it.
      if (['EEXIST', 'ENOENT'].includes((cause as NodeJS.ErrnoException).code ?? '')) return false;
      throw writeError(path, cause);
    } finally {
      await files.rm(temporary, { force: true }).catch(() => {});
    }
  };
  for (let tries = 0; !(await write()); tries++) {
    const owner = await read();
    const age = await files.stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (owner && tries < 3 && (age > STALE_MS || (await isGone(owner, own)))) {
      // Renamed first: of two that take over, one removes this lock, none a new one.
      const left = `${path}.${own.token}.left`;
      await files.rename(path, left).catch(() => {});
      const moved = await files.readFile(left, 'utf8').catch(() => undefined);
      if (moved !== undefined && moved.includes(owner.token ?? '')) await files.rm(left, { force: true });
      else if (moved !== undefined) await files.rename(left, path).catch(() => {});
      continue;
    }
    if (!owner && tries < 3) continue;
    const who = `process ${owner?.pid ?? 'unknown'} on ${owner?.host ?? 'an unknown host'}`;
    const message = `${brief(what)}: ${who} is at it (${brief(path)}): wait for it, or remove that file if the process is gone`;
    throw new CheckpointError('file-access', message, { path, pid: owner?.pid, host: owner?.host });
  }
  const beat = setInterval(() => void files.utimes(path, new Date(), new Date()).catch(() => {}), BEAT_MS);
  beat.unref();
  return {
    confirm: async () => {
      if ((await read())?.token === own.token) {
        await files.utimes(path, new Date(), new Date()).catch(() => {});
        return;
      }
      const message = `${brief(what)}: another process has taken over (${brief(path)}), nothing more is written here`;
      throw new CheckpointError('file-access', message, { path });
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(beat);
      if ((await read())?.token === own.token) await files.rm(path, { force: true }).catch(() => {});
    },
  };
}

async function identity(pid: number): Promise<Omit<Owner, 'token' | 'pid'>> {
  const files = nodeModule('node:fs/promises');
  const space = await files?.readlink('/proc/self/ns/pid').catch(() => '');
  const stat = await files?.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name in parentheses may have spaces; the start is the 20th field behind it.
  const begun = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return { host: nodeModule('node:os')?.hostname() ?? '', space: space ?? '', begun: begun ?? '' };
}

/** Whether an owner is known to be gone: its process is not running, here where its number means the same. */
async function isGone(owner: Partial<Owner>, own: Owner): Promise<boolean> {
  if (owner.pid === undefined || owner.host !== own.host || owner.space !== own.space) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  const { begun } = await identity(owner.pid);
  return begun !== '' && owner.begun !== undefined && owner.begun !== '' && begun !== owner.begun;
}
