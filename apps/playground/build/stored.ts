// The rows of benchmarks/results that the page Measure shows beside a visitor's: of the same shapes, by the same names.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CandidateName, StoredRow } from '../src/measure/protocol.ts';

const RESULTS = join(import.meta.dirname, '../../../benchmarks/results');

interface ResultsFile {
  readonly environment: Readonly<Record<string, unknown>>;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

const read = (name: string): ResultsFile =>
  JSON.parse(readFileSync(join(RESULTS, `${name}.json`), 'utf8')) as ResultsFile;

const CPU_NAMES: Readonly<Record<string, CandidateName>> = {
  dense: 'dense',
  'HiP, shipped default': 'hip',
  'tfjs-wasm operations': 'tfjs',
  'onnxruntime GroupQueryAttention': 'onnxruntime',
};
const GPU_NAMES: Readonly<Record<string, CandidateName>> = {
  'tfjs, flashAttention': 'dense',
  'tfjs, hipAttention': 'hip',
  'tfjs, tfjs-webgpu operations': 'tfjs',
};

/** Prefill of eight heads of 64 on both, decode on the CPU: what there is of the page's shapes. */
export function storedResults(): readonly StoredRow[] {
  const cpu = read('cpu-attention');
  const gpu = read('webgpu');
  const { environment } = cpu;
  const cpuMachine = `${String(environment['cpu'])}, ${String(environment['threads'])} threads, Node, ${String(environment['date'])}`;
  const gpuMachine = `${String(gpu.environment['device'])}, Dawn, ${String(gpu.environment['date'])}`;
  const rows: StoredRow[] = [];
  const add = (row: Omit<StoredRow, 'ms'>, ms: unknown): void => {
    if (typeof ms === 'number') rows.push({ ...row, ms: Number(ms.toPrecision(4)) });
  };
  for (const row of cpu.rows) {
    const tokens = Number(row['tokens']);
    const common = { device: 'wasm', tokens, machine: cpuMachine } as const;
    const candidate = CPU_NAMES[String(row['what'])];
    if (row['part'] === 'prefill' && candidate) add({ ...common, part: 'prefill', candidate }, row['ms']);
    if (row['part'] === 'decode' && row['heads'] === 8 && row['cache'] === 'f32') {
      add({ ...common, part: 'decode', candidate: 'dense' }, row['denseMs']);
      add({ ...common, part: 'decode', candidate: 'hip' }, row['stepMs']);
    }
  }
  for (const row of gpu.rows) {
    const candidate = GPU_NAMES[String(row['what'])];
    if (row['part'] !== 'web' || !candidate) continue;
    const common = { device: 'webgpu', tokens: Number(row['tokens']), machine: gpuMachine } as const;
    add({ ...common, part: 'prefill', candidate }, row['wallMs']);
  }
  return rows;
}
