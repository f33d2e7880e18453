// Where the host's time goes while it feeds the GPU: samples of the main thread, by function.
import { Session } from 'node:inspector/promises';

export interface HostTime {
  /** Milliseconds by function: in itself, and with what it calls. */
  readonly self: Readonly<Record<string, number>>;
  readonly total: Readonly<Record<string, number>>;
  readonly ms: number;
}

/** Samples `work`. */
export async function sampled(work: () => Promise<unknown>, most = 24): Promise<HostTime> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 250 });
  await session.post('Profiler.start');
  const start = performance.now();
  await work();
  const ms = performance.now() - start;
  const { profile } = await session.post('Profiler.stop');
  session.disconnect();
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const { id, children = [] } of profile.nodes) for (const child of children) parents.set(child, id);
  const nameOf = (id: number): string => {
    const { functionName, lineNumber } = nodes.get(id)!.callFrame;
    return `${functionName || 'anonymous'}:${lineNumber}`;
  };
  const self = new Map<string, number>();
  const total = new Map<string, number>();
  const add = (map: Map<string, number>, name: string, value: number): void =>
    void map.set(name, (map.get(name) ?? 0) + value);
  for (const [i, id] of (profile.samples ?? []).entries()) {
    const spent = (profile.timeDeltas?.[i] ?? 0) / 1000;
    add(self, nameOf(id), spent);
    const seen = new Set<string>();
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) seen.add(nameOf(at));
    for (const name of seen) add(total, name, spent);
  }
  const top = (map: Map<string, number>): Record<string, number> =>
    Object.fromEntries(
      [...map]
        .sort((a, b) => b[1] - a[1])
        .slice(0, most)
        .map(([name, value]) => [name, Math.round(value * 10) / 10]),
    );
  return { self: top(self), total: top(total), ms };
}
