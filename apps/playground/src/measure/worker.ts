// The worker of the page Measure: for each case it opens the candidates, runs them in turns, and closes them again.
import { createCpuRuntime, type CpuRuntime } from '@hip/kernels-cpu';
import { failureOf, PlaygroundError, type Failure } from '../rpc/protocol.ts';
import { serve, type Context } from '../rpc/worker.ts';
import { peerVersions } from './facts.ts';
import { gpuOf, type Gpu } from './gpu.ts';
import { inputsOf, largestDifference, type Inputs } from './inputs.ts';
import { interleave, median } from './interleave.ts';
import type { Opened } from './opened.ts';
import { openWasm } from './ours-wasm.ts';
import {
  CANDIDATES,
  SIZES,
  type CandidateName,
  type Case,
  type Environment,
  type MeasuredRow,
  type MeasureEvent,
  type MeasureInput,
  type MeasureOperations,
  type MeasureOutput,
} from './protocol.ts';

serve<MeasureOperations>({ measure });

/** By how much exact outputs may differ, of values of unit scale: a GPU's f16 is far within it, another computation is not. */
const TOLERANCE = 0.01;

/** What our kernels run on. */
interface Machine {
  readonly cpu: CpuRuntime;
  readonly gpu: Gpu | Failure | undefined;
}

async function measure(input: MeasureInput, { signal, emit }: Context<MeasureEvent>): Promise<MeasureOutput> {
  using cpu = await createCpuRuntime();
  const wantsGpu = input.cases.some(({ device }) => device === 'webgpu');
  const gpu = wantsGpu ? await gpuOf(input.allowSoftware).catch(failureOf) : undefined;
  const machine = { cpu, gpu };
  const perCase = CANDIDATES.length * (input.runs + 1);
  const total = input.cases.length * perCase;
  const rows: MeasuredRow[] = [];
  try {
    for (const [index, each] of input.cases.entries()) {
      let done = index * perCase;
      const what = `${each.part}, ${each.tokens} tokens, ${each.device}`;
      emit({ type: 'run', done, total, what });
      const onRun = (name: CandidateName): void => emit({ type: 'run', done: ++done, total, what: `${what}: ${name}` });
      const measured = await measureCase(each, input, machine, { signal, onRun });
      rows.push(...measured);
      emit({ type: 'rows', rows: measured });
    }
  } finally {
    if (gpu && 'context' in gpu) gpu.context.device.destroy();
  }
  return { environment: await environment(machine), rows };
}

interface Watch {
  readonly signal: AbortSignal;
  readonly onRun: (name: CandidateName) => void;
}

async function measureCase(each: Case, input: MeasureInput, machine: Machine, watch: Watch): Promise<MeasuredRow[]> {
  const inputs = inputsOf(each.part, each.tokens);
  const failures = new Map<CandidateName, Failure>();
  const opened: Opened[] = [];
  const differences = new Map<CandidateName, number>();
  /** Opens, or keeps why not, for all `names`. */
  const open = async (names: readonly CandidateName[], start: () => Promise<readonly Opened[]>): Promise<void> => {
    if (watch.signal.aborted) throw new PlaygroundError('aborted', 'stopped');
    try {
      opened.push(...(await start()));
    } catch (error) {
      for (const name of names) failures.set(name, peerFailure(name, error));
    }
  };
  try {
    await open(['hip', 'dense'], () => openOurs(each, machine, inputs));
    const { gpu } = machine;
    if (each.device === 'webgpu' && gpu && 'code' in gpu) {
      for (const name of ['onnxruntime', 'tfjs'] as const) failures.set(name, gpu);
    } else {
      await open(['onnxruntime'], async () => {
        const { openOnnxruntime } = await import('./onnxruntime.ts');
        const options = { folder: input.onnxruntime, threads: machine.cpu.threads };
        return [await openOnnxruntime(each.device, inputs, options)];
      });
      await open(['tfjs'], async () => {
        const { openTfjs } = await import('./tfjs.ts');
        return [await openTfjs(each.device, inputs, input.tfjs)];
      });
    }
    let exact: Float32Array | undefined;
    for (const { name, output } of opened) {
      if (!output) continue;
      await new Promise((resolve) => setTimeout(resolve));
      if (watch.signal.aborted) throw new PlaygroundError('aborted', 'stopped');
      try {
        const found = await output();
        if (name === 'dense') exact = found;
        if (name === 'dense' || !exact) continue;
        const difference = largestDifference(exact, found);
        differences.set(name, difference);
        if (!(difference <= TOLERANCE)) failures.set(name, wrongOutput(difference));
      } catch (error) {
        failures.set(name, peerFailure(name, error));
      }
    }
    const running = opened.filter(({ name }) => !failures.has(name));
    const times = await interleave(running, { runs: input.runs, ...watch });
    return CANDIDATES.map((candidate): MeasuredRow => {
      const row = { ...each, ...SIZES[each.part], candidate };
      const { ms = [], failure } = times.get(candidate) ?? {};
      const failed = failures.get(candidate) ?? (failure && peerFailure(candidate, failure));
      const difference = differences.get(candidate);
      const compared = difference === undefined ? row : { ...row, difference };
      if (failed) return { ...compared, failure: failed };
      return { ...compared, ms: median(ms), msBest: Math.min(...ms), runs: ms.length };
    });
  } finally {
    for (const each of opened) await Promise.resolve(each.close()).catch(() => undefined);
  }
}

async function openOurs(each: Case, { cpu, gpu }: Machine, inputs: Inputs): Promise<readonly Opened[]> {
  if (each.device === 'wasm') return openWasm(cpu, inputs);
  if (!gpu || 'code' in gpu) throw gpu ?? new PlaygroundError('no-webgpu', 'WebGPU was not asked for');
  const { openWebgpu } = await import('./ours-webgpu.ts');
  return openWebgpu(gpu.context, inputs);
}

const wrongOutput = (difference: number): Failure => ({
  code: 'wrong-output',
  message: `its output differs from our dense attention by up to ${difference.toPrecision(2)} on this device: its time would be of something else`,
});

/** A failure of others has no code of ours. */
function peerFailure(name: CandidateName, error: unknown): Failure {
  const failure = failureOf(error);
  const isPeer = name === 'onnxruntime' || name === 'tfjs';
  return isPeer && failure.code === 'internal' ? { code: 'peer-failed', message: failure.message } : failure;
}

async function environment({ cpu, gpu }: Machine): Promise<Environment> {
  return {
    date: new Date().toISOString(),
    browser: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    isolated: crossOriginIsolated,
    threads: cpu.threads,
    simd: cpu.simd,
    ...(gpu && { gpu: 'code' in gpu ? `${gpu.code}: ${gpu.message}` : gpu.name }),
    versions: peerVersions,
  };
}
