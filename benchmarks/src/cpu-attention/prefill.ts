// Prefill: dense and HiP against onnxruntime and tfjs-wasm in one run; how near to the machine's peak; from which length HiP wins.
import type { CpuRuntime, PhaseTimes } from '@hip/kernels-cpu';
import { DEFAULT_CONFIG, PAPER_CONFIG, resolveConfig, type AttentionShape, type HipConfig } from '@hip/mask-search';
import { median, type BenchmarkOptions } from '../benchmark.ts';
import { normals } from '@hip/playground/measure';
import { denseFlops, sparseFlops } from './flops.ts';
import { onnxAttention, tfjsAttention } from './peers.ts';

type Row = Record<string, unknown>;

/** Longer sequences run once or twice: onnxruntime takes minutes there. */
export const REPEATS: readonly (readonly [tokens: number, repeats: number])[] = [
  [2048, 15],
  [4096, 9],
  [8192, 5],
  [16_384, 3],
  [65_536, 1],
];
/** tfjs materialises 8·T² scores and works on one thread. */
const TFJS_TOKENS = 2048;
/** Without its flash path onnxruntime needs T² memory. */
const WHOLE_TOKENS = 16_384;
const BREAK_EVEN = [768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 4096];

export function headShape(tokens: number): AttentionShape {
  return { batch: 1, queries: tokens, keys: tokens, heads: 8, kvHeads: 8, headDim: 64 };
}

interface Candidate {
  readonly run: () => unknown;
  readonly repeats: number;
}

interface Measured {
  /** Medians over the repeats. */
  readonly ms: number;
  readonly msBest: number;
  readonly phases: PhaseTimes;
  readonly repeats: number;
}

/**
 * Runs the candidates in turns, a warm-up of those that repeat first; a pause before each lets the threads of the one before stop
 * spinning.
 */
async function measure(
  candidates: Readonly<Record<string, Candidate>>,
  cpu: CpuRuntime,
  signal: AbortSignal,
): Promise<Record<string, Measured>> {
  const all: Record<string, { ms: number[]; phases: PhaseTimes[] }> = {};
  const rounds = Math.max(...Object.values(candidates).map(({ repeats }) => repeats));
  for (let round = -1; round < rounds; round++) {
    for (const [name, { run, repeats }] of Object.entries(candidates)) {
      if (round >= repeats || (round < 0 && repeats === 1)) continue;
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 30));
      const start = performance.now();
      await run();
      const ms = performance.now() - start;
      if (round < 0) continue;
      const entry = (all[name] ??= { ms: [], phases: [] });
      entry.ms.push(ms);
      entry.phases.push({ ...cpu.times });
    }
  }
  return Object.fromEntries(
    Object.entries(all).map(([name, { ms, phases }]) => {
      const phase = (key: keyof PhaseTimes): number => median(phases.map((times) => times[key]));
      const medians = { append: phase('append'), search: phase('search'), attention: phase('attention') };
      return [name, { ms: median(ms), msBest: Math.min(...ms), repeats: ms.length, phases: medians }];
    }),
  );
}

/** The phases of one of our candidates, and how near its attention comes to the peak. */
function ourRow(measured: Measured, flops: number, peak: number): Row {
  const { append, search, attention } = measured.phases;
  const gflops = flops / attention / 1e6;
  return {
    ms: measured.ms,
    msBest: measured.msBest,
    repeats: measured.repeats,
    appendMs: append,
    searchMs: search,
    attentionMs: attention,
    searchShare: search / measured.ms,
    attentionGflops: gflops,
    attentionShareOfPeak: gflops / peak,
  };
}

export async function prefill(
  cpu: CpuRuntime,
  peak: number,
  { quick, log, signal }: BenchmarkOptions,
  lengths = quick ? REPEATS.slice(0, 2) : REPEATS,
): Promise<Row[]> {
  const rows: Row[] = [];
  const configs: Record<string, HipConfig> = { hip: DEFAULT_CONFIG, hipLiteral: PAPER_CONFIG };
  for (const [tokens, repeats] of lengths) {
    const shape = headShape(tokens);
    const size = tokens * shape.heads * shape.headDim;
    const [q, k, v] = [normals(size, 1), normals(size, 2), normals(size, 3)];
    const out = new Float32Array(size);
    const onnx = await onnxAttention(q, k, v, shape, { threads: cpu.threads, flash: true });
    const whole =
      tokens <= WHOLE_TOKENS ? await onnxAttention(q, k, v, shape, { threads: cpu.threads, flash: false }) : undefined;
    const tfjs = tokens <= TFJS_TOKENS ? await tfjsAttention(q, k, v, shape) : undefined;
    let reference: Float32Array = new Float32Array();
    const exact = new Float32Array(size);
    // What takes a minute runs once; HiP is quick enough to repeat.
    const few = quick ? 3 : repeats;
    const candidates: Record<string, Candidate> = {
      onnx: { run: async () => (reference = await onnx.run()), repeats: few },
      dense: { run: () => cpu.denseAttention(q, k, v, shape, { out: exact }), repeats: few },
      ...(whole ? { onnxWhole: { run: () => whole.run(), repeats: few } } : {}),
      ...(tfjs ? { tfjs: { run: () => tfjs.run(), repeats: 3 } } : {}),
    };
    for (const [name, config] of Object.entries(configs)) {
      candidates[name] = { run: () => cpu.hipAttention(q, k, v, shape, config, { out }), repeats: Math.max(3, few) };
    }
    const times = await measure(candidates, cpu, signal);
    const difference = exact.reduce((worst, x, i) => Math.max(worst, Math.abs(x - reference[i]!)), 0);
    await onnx.close();
    await whole?.close();
    tfjs?.close();
    const onnxMs = times['onnx']!.ms;
    const faster = (name: string): Row => ({
      timesFasterThanOnnx: onnxMs / times[name]!.ms,
      ...(times['onnxWhole'] && { timesFasterThanOnnxWithoutFlash: times['onnxWhole'].ms / times[name]!.ms }),
      timesFasterThanDense: times['dense']!.ms / times[name]!.ms,
    });
    const common = { part: 'prefill', tokens, heads: 8, kvHeads: 8, headDim: 64 };
    rows.push({
      ...common,
      what: 'onnxruntime GroupQueryAttention',
      ms: onnxMs,
      msBest: times['onnx']!.msBest,
      repeats: few,
    });
    if (times['onnxWhole']) {
      const { ms, msBest, repeats: count } = times['onnxWhole'];
      rows.push({
        ...common,
        what: 'onnxruntime GroupQueryAttention without its flash path',
        ms,
        msBest,
        repeats: count,
      });
    }
    if (times['tfjs']) rows.push({ ...common, what: 'tfjs-wasm operations', ms: times['tfjs'].ms, repeats: 3 });
    rows.push({
      ...common,
      what: 'dense',
      ...ourRow(times['dense']!, denseFlops(shape), peak),
      ...faster('dense'),
      largestDifferenceToOnnx: difference,
    });
    for (const [name, config] of Object.entries(configs)) {
      rows.push({
        ...common,
        what: name === 'hip' ? 'HiP, shipped default' : 'HiP, literal defaults of the paper',
        k: config.k,
        ...ourRow(times[name]!, sparseFlops(shape, resolveConfig(config)), peak),
        ...faster(name),
      });
    }
    log(
      `${tokens}: onnx ${onnxMs.toFixed(0)}, ${Object.keys(candidates)
        .slice(1)
        .map((name) => `${name} ${times[name]!.ms.toFixed(0)}`)
        .join(', ')} ms; HiP ${(onnxMs / times['hip']!.ms).toFixed(1)}× onnx`,
    );
  }
  return rows;
}

/** The smallest measured length from which HiP is faster than our dense at every longer one. */
export async function breakEven(cpu: CpuRuntime, { quick, log, signal }: BenchmarkOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const tokens of quick ? [1024, 2048] : BREAK_EVEN) {
    const shape = headShape(tokens);
    const size = tokens * shape.heads * shape.headDim;
    const [q, k, v, out] = [normals(size, 1), normals(size, 2), normals(size, 3), new Float32Array(size)];
    const repeats = 15;
    const times = await measure(
      {
        dense: { run: () => cpu.denseAttention(q, k, v, shape, { out }), repeats },
        hip: { run: () => cpu.hipAttention(q, k, v, shape, {}, { out }), repeats },
      },
      cpu,
      signal,
    );
    rows.push({
      part: 'break-even',
      tokens,
      denseMs: times['dense']!.ms,
      hipMs: times['hip']!.ms,
      timesFasterThanDense: times['dense']!.ms / times['hip']!.ms,
    });
  }
  let from: number | undefined;
  for (const row of rows.toReversed()) {
    if ((row['timesFasterThanDense'] as number) < 1) break;
    from = row['tokens'] as number;
  }
  log(`break-even: ${from ?? 'above the longest measured'}`);
  return [...rows, { part: 'break-even', what: 'HiP is faster from', tokens: from ?? null }];
}
