// Who is writing a study: a process is told apart from a later one with the same id by its start time.
// Only called once the study file is open, so there is a Node to ask.

/** After this long without a sign of life a writer on another host counts as gone. A local one is asked directly. */
export const OWNER_STALE_MS = 120_000;

export interface Owner {
  readonly id: string;
  readonly host: string;
}

/** Clock ticks since boot at which a process started; empty where /proc does not exist. */
function startTime(pid: number): string {
  const { readFileSync } = process.getBuiltinModule('node:fs');
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

const hostname = (): string => process.getBuiltinModule('node:os').hostname();

export function thisOwner(): Owner {
  return { id: `${process.pid}:${startTime(process.pid)}`, host: hostname() };
}

/** Whether the recorded writer still runs. */
export function ownerAlive(owner: Owner, seenAt: number, now = Date.now()): boolean {
  if (owner.host !== hostname()) return now - seenAt < OWNER_STALE_MS;
  const [pid = '', started = ''] = owner.id.split(':');
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return started === startTime(Number(pid));
}
