// What the sections of the engine's benchmark measure with: engines on the device, medians, memory of host and GPU.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { Timer } from '@hip/kernels-webgpu';
import { loadEngine } from '../../../packages/llm/src/engine/load.ts';
import type { EngineOptions, Sequence } from '../../../packages/llm/src/engine/types.ts';
import { WebgpuEngine } from '../../../packages/llm/src/engine/webgpu/engine.ts';

export type Row = Readonly<Record<string, unknown>>;

export interface Surroundings {
  readonly device: () => Promise<GPUDevice>;
  readonly tiny: boolean;
  readonly log: (line: string) => void;
  readonly add: (row: Row) => void;
}

/** Runs `work` with an engine on a device of its own, which ends afterwards: memory of one measurement does not stay for the next. */
export async function withEngine<T>(
  { device: open }: Surroundings,
  folder: string,
  options: EngineOptions,
  work: (engine: WebgpuEngine) => Promise<T>,
): Promise<T> {
  const device = await open();
  const engine = await loadEngine(folder, { device, backend: 'webgpu', ...options });
  if (!(engine instanceof WebgpuEngine)) throw new Error('the engine is not on WebGPU');
  try {
    return await work(engine);
  } finally {
    engine.close();
    device.destroy();
  }
}

export async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}

/** Four digits, or one more than `digits`. */
export const round = (value: number, digits = 3): number => Number(value.toPrecision(digits + 1));

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}

/** Milliseconds of each of `count` greedy tokens, each chosen from what came back. */
export async function decodeTimes(sequence: Sequence, count: number, first = 7): Promise<number[]> {
  let id = first;
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const { ms, value } = await timed(() => sequence.candidates([id]));
    id = value.ids[0] as number;
    times.push(ms);
  }
  return times;
}

/** GPU milliseconds by label of what `work` submits, and how many dispatches. */
export async function profiled(
  engine: WebgpuEngine,
  work: () => Promise<unknown>,
): Promise<readonly { readonly label: string; readonly dispatches: number; readonly ms: number }[]> {
  const { model } = engine;
  const timer = new Timer(model.context, 2000);
  model.timer = timer;
  try {
    await work();
    const passes = await timer.read();
    const labels = new Map<string, { dispatches: number; ms: number }>();
    for (const { label, milliseconds } of passes) {
      const entry = labels.get(label) ?? { dispatches: 0, ms: 0 };
      labels.set(label, { dispatches: entry.dispatches + 1, ms: entry.ms + milliseconds });
    }
    return [...labels].map(([label, entry]) => ({ label, ...entry })).sort((a, b) => b.ms - a.ms);
  } finally {
    model.timer = undefined;
    timer.destroy();
  }
}

/** MiB of the GPU that all processes hold, as its driver says; undefined where there is none. */
export function gpuMiB(): number | undefined {
  try {
    const text = execFileSync('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], {
      encoding: 'utf8',
    });
    return Number(text.trim());
  } catch {
    return undefined;
  }
}

/** Starts the host's high-water mark anew. */
export function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Then it is the peak since the start.
  }
}

/** Most MiB that this process has held in memory since {@link resetPeak}. */
export function peakMiB(): number {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}

/** … and holds now. */
export function heldMiB(): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kilobytes) / 1024;
}
