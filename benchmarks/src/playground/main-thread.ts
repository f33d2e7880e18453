// Tasks of a page's main thread out of Chromium's own trace: how long each took by the clock and by the processor, and what ran in it.
import type { TestPage } from '@hip/testing/browser';

type Page = TestPage['page'];

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly id?: string;
  readonly args?: {
    readonly name?: string;
    readonly data?: {
      readonly timeDeltas?: readonly number[];
      readonly startTime?: number;
      readonly cpuProfile?: { readonly nodes?: readonly ProfileNode[]; readonly samples?: readonly number[] };
    };
  };
}

interface ProfileNode {
  readonly id: number;
  readonly parent?: number;
  readonly callFrame: { readonly functionName: string; readonly url?: string; readonly lineNumber?: number };
}

export interface MainThreadTask {
  /** Milliseconds by the clock: a thread that waits for a processor is in it. */
  readonly ms: number;
  /** Milliseconds of processor time. */
  readonly cpuMs: number;
  /** Functions that were on the stack most often, innermost first. */
  readonly stack: string;
  /** What Chromium calls the longest of what it did, e.g. `Layout 31.2 ms`: a script is on no stack then. */
  readonly parts: string;
}

/** Parts that are named. */
const NAMED_PARTS = 4;

const CATEGORIES = [
  'toplevel',
  'devtools.timeline',
  'disabled-by-default-devtools.timeline',
  'disabled-by-default-v8.cpu_profiler',
];

/** Runs `work`, and gives the page's tasks of more than `least` milliseconds of the clock meanwhile, the longest by processor first. */
export async function mainThreadTasks(page: Page, least: number, work: () => Promise<void>): Promise<MainThreadTask[]> {
  await page.tracing.start({ categories: CATEGORIES });
  let trace: Uint8Array | undefined;
  try {
    await work();
  } finally {
    trace = await page.tracing.stop();
  }
  const { traceEvents } = JSON.parse(new TextDecoder().decode(trace)) as { traceEvents: readonly TraceEvent[] };
  return tasksOf(traceEvents, least);
}

function tasksOf(events: readonly TraceEvent[], least: number): MainThreadTask[] {
  const threads = new Set(
    events
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid}.${tid}`),
  );
  const isMain = ({ pid, tid }: TraceEvent): boolean => threads.has(`${pid}.${tid}`);
  const samples = samplesOf(events);
  const parts = events.filter((event) => event.ph === 'X' && event.name !== 'RunTask' && isMain(event));
  return events
    .filter((event) => event.name === 'RunTask' && isMain(event) && (event.dur ?? 0) >= 1000 * least)
    .map(({ dur = 0, tdur = 0, ts, pid }) => ({
      ms: dur / 1000,
      cpuMs: tdur / 1000,
      stack: mostOften(samples.filter((sample) => sample.pid === pid && sample.at >= ts && sample.at <= ts + dur)),
      parts: longestParts(parts.filter((part) => part.pid === pid && part.ts >= ts && part.ts < ts + dur)),
    }))
    .sort((a, b) => b.cpuMs - a.cpuMs);
}

/** By name, those inside others of their name not counted. */
function longestParts(parts: readonly TraceEvent[]): string {
  const times = new Map<string, number>();
  const ends = new Map<string, number>();
  for (const { name, ts, dur = 0 } of parts.toSorted((a, b) => a.ts - b.ts)) {
    if (ts < (ends.get(name) ?? 0)) continue;
    ends.set(name, ts + dur);
    times.set(name, (times.get(name) ?? 0) + dur / 1000);
  }
  const longest = [...times].sort((a, b) => b[1] - a[1]).slice(0, NAMED_PARTS);
  return longest.map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`).join(', ');
}

interface Sample {
  readonly pid: number;
  readonly at: number;
  readonly stack: string;
}

/** The samples of all profiles in the trace. */
function samplesOf(events: readonly TraceEvent[]): Sample[] {
  const samples: Sample[] = [];
  const profiles = new Map<string, { nodes: Map<number, ProfileNode>; at: number }>();
  for (const { name, pid, id, args, ts } of events) {
    if (name !== 'Profile' && name !== 'ProfileChunk') continue;
    const key = `${pid}.${id}`;
    const data = args?.data;
    if (name === 'Profile') profiles.set(key, { nodes: new Map(), at: data?.startTime ?? ts });
    const profile = profiles.get(key);
    if (!profile) continue;
    for (const node of data?.cpuProfile?.nodes ?? []) profile.nodes.set(node.id, node);
    (data?.cpuProfile?.samples ?? []).forEach((node, i) => {
      profile.at += data?.timeDeltas?.[i] ?? 0;
      samples.push({ pid, at: profile.at, stack: stackOf(node, profile.nodes) });
    });
  }
  return samples;
}

function stackOf(id: number, nodes: ReadonlyMap<number, ProfileNode>): string {
  const names: string[] = [];
  for (let node = nodes.get(id); node; node = node.parent === undefined ? undefined : nodes.get(node.parent)) {
    const { functionName } = node.callFrame;
    if (functionName !== '(root)') names.push(functionName || '(anonymous)');
  }
  return names.slice(0, 8).join(' < ');
}

function mostOften(samples: readonly Sample[]): string {
  const counts = new Map<string, number>();
  for (const { stack } of samples) counts.set(stack, (counts.get(stack) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? '';
}
