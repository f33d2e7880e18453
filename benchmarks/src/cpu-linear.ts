// What a language model's products with stored weights cost on the CPU, on SmolLM2's shapes: a token's matrices one after the other as
// they lie in memory, prefill in rows, beside the float32 product of the same package and the machine's multiply-add peak.
import { createCpuRuntime, type CpuRuntime, type StoredMatrix, type WeightType } from '@hip/kernels-cpu';
import { interleave, median, type Benchmark } from './benchmark.ts';

const [LAYERS, HIDDEN, KEYS, FFN, VOCABULARY] = [30, 576, 192, 1536, 49_152];
/** [outputs, inputs] of a layer: query, key, value, output, gate, up, down. */
const SHAPES = [
  [HIDDEN, HIDDEN],
  [KEYS, HIDDEN],
  [KEYS, HIDDEN],
  [HIDDEN, HIDDEN],
  [FFN, HIDDEN],
  [FFN, HIDDEN],
  [HIDDEN, FFN],
] as const;
const LAYER_WEIGHTS = SHAPES.reduce((sum, [outputs, inputs]) => sum + outputs * inputs, 0);
/** Bytes and values of a block. */
const BLOCKS: Partial<Record<WeightType, readonly [bytes: number, values: number]>> = {
  F32: [4, 1],
  F16: [2, 1],
  Q8_0: [34, 32],
  Q4_0: [18, 32],
  Q4_1: [20, 32],
};

/** Small positive numbers whatever the type: bytes that are halves of about a thousandth. */
function matrix(cpu: CpuRuntime, type: WeightType, rows: number, columns: number): StoredMatrix {
  const [bytes, values] = BLOCKS[type]!;
  const row = new Uint8Array((columns / values) * bytes).map((_, i) => (i * 37) & 0x17);
  const stored = cpu.createMatrix({ type, rows, columns });
  const all = new Uint8Array(row.length * rows);
  for (let r = 0; r < rows; r++) all.set(row, r * row.length);
  stored.write(0, all);
  return stored;
}

/** A model's matrices and what they are multiplied by. */
function model(cpu: CpuRuntime, type: WeightType, layers: number, rows: number) {
  const filled = (length: number) => {
    const x = cpu.createActivation(length);
    x.view.set(Float32Array.from({ length }, (_, i) => Math.sin(i)));
    return x;
  };
  const [hidden, query, key, value] = [HIDDEN, HIDDEN, KEYS, KEYS].map((width) => filled(rows * width));
  const [gate, up] = [filled(rows * FFN), filled(rows * FFN)];
  const all = Array.from({ length: layers }, () =>
    SHAPES.map(([outputs, inputs]) => matrix(cpu, type, outputs, inputs)),
  );
  return {
    bytes: all.flat().reduce((sum, { bytes }) => sum + bytes, 0),
    run: (count: number): void => {
      for (const [q, k, v, o, g, u, d] of all as [StoredMatrix, ...StoredMatrix[]][]) {
        const targets = [
          { out: query!, matrix: q },
          { out: key!, matrix: k! },
          { out: value!, matrix: v! },
        ];
        cpu.linears(hidden!, targets, { rows: count });
        cpu.linear(query!, hidden!, o!, { rows: count });
        const wide = [
          { out: gate, matrix: g! },
          { out: up, matrix: u! },
        ];
        cpu.linears(hidden!, wide, { rows: count });
        cpu.linear(query!, up, d!, { rows: count });
      }
    },
    [Symbol.dispose](): void {
      for (const each of [...all.flat(), hidden!, query!, key!, value!, gate, up]) each.dispose();
    },
  };
}

export const benchmark: Benchmark = {
  name: 'cpu-linear',
  description: 'products of activations with stored weights on SmolLM2’s shapes: a token, prefill, share of peak',
  async run({ quick, log, signal }) {
    const rows: Record<string, unknown>[] = [];
    const layers = quick ? 2 : LAYERS;
    using cpu = await createCpuRuntime({ threads: 2 });
    const peak = cpu.measurePeak();
    rows.push({ what: 'peak', gflops: Number(peak.toFixed(1)), simd: cpu.simd });
    using head = matrix(cpu, 'Q8_0', quick ? 4096 : VOCABULARY, HIDDEN);
    using x = cpu.createActivation(HIDDEN);
    using logits = cpu.createActivation(head.rows);
    const headTimes = await interleave({ head: () => cpu.linear(logits, x, head) }, { repeats: quick ? 3 : 15 });
    const headMs = median(headTimes['head']!);
    rows.push({
      what: 'head',
      type: 'Q8_0',
      mib: Number((head.bytes / 2 ** 20).toFixed(1)),
      ms: Number(headMs.toFixed(3)),
    });
    log(`head of ${head.rows} outputs: ${headMs.toFixed(2)} ms`);
    for (const type of ['Q4_1', 'Q4_0', 'Q8_0', 'F16', 'F32'] as const) {
      signal.throwIfAborted();
      const counts = quick ? [1, 16] : [1, 4, 16, 64, 256, 512];
      using weights = model(cpu, type, layers, counts.at(-1)!);
      const candidates = counts.map((count) => [String(count), () => weights.run(count)] as const);
      const times = await interleave(Object.fromEntries(candidates), { repeats: quick ? 2 : 5, warmup: 1 });
      for (const count of counts) {
        const ms = median(times[String(count)]!);
        const gflops = (2 * count * layers * LAYER_WEIGHTS) / ms / 1e6;
        rows.push({
          what: 'layers',
          type,
          layers,
          mib: Number((weights.bytes / 2 ** 20).toFixed(1)),
          rows: count,
          ms: Number(ms.toFixed(3)),
          msPerToken: Number((ms / count).toFixed(4)),
          shareOfPeak: Number((gflops / peak).toFixed(3)),
        });
        log(
          `${type}, ${count} rows: ${(ms / count).toFixed(3)} ms a token, ${((100 * gflops) / peak).toFixed(0)} % of peak`,
        );
      }
    }
    return { rows, environment: { threads: 2 } };
  },
};
