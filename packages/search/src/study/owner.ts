// Who is writing a study: a process is told apart from a later one with the same id by its start time, its boot and its id space.
// Only called once the study file is open, so there is a Node to ask.

/** After this long without a sign of life a writer whose process cannot be asked counts as gone. */
export const OWNER_STALE_MS = 120_000;

export interface Owner {
  /** `pid:start:opening:place`; files of earlier versions have the first two only. */
  readonly id: string;
  readonly host: string;
}

/** Openings of studies by this process that have not been closed: a closed one owns nothing, even where the file could not be told. */
const openings = new Set<string>();
let opened = 0;

const text = (read: () => string): string => {
  try {
    return read();
  } catch {
    return '';
  }
};

/** Clock ticks since boot at which a process started; empty where /proc does not exist. */
function startTime(pid: number): string {
  const { readFileSync } = process.getBuiltinModule('node:fs');
  return text(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  });
}

/** What a process id is good in: one boot, one namespace of ids (a container has its own). Empty where that cannot be told. */
function place(): string {
  const { readFileSync, readlinkSync } = process.getBuiltinModule('node:fs');
  const boot = text(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  const namespace = text(() => readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, ''));
  return boot === '' && namespace === '' ? '' : `${boot}/${namespace}`;
}

const hostname = (): string => process.getBuiltinModule('node:os').hostname();

/** A new opening of a study by this process, alive until {@link release}. */
export function thisOwner(): Owner {
  const opening = String(++opened);
  openings.add(opening);
  return { id: `${process.pid}:${startTime(process.pid)}:${opening}:${place()}`, host: hostname() };
}

export function release(owner: Owner): void {
  openings.delete(owner.id.split(':')[2] ?? '');
}

/** Whether the recorded writer still runs. */
export function ownerAlive(owner: Owner, seenAt: number, now = Date.now()): boolean {
  const [pid = '', started = '', opening, where] = owner.id.split(':');
  // Another machine's, or another container's: its process cannot be asked.
  if (owner.host !== hostname() || (where !== undefined && where !== place())) return now - seenAt < OWNER_STALE_MS;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (started !== startTime(Number(pid))) return false;
  return Number(pid) !== process.pid || opening === undefined || openings.has(opening);
}
