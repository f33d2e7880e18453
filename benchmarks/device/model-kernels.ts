// Speed of the model kernels of @hip/kernels-webgpu at Qwen3-0.6B's shapes, on a machine without npm: node BUNDLE --dawn dawn.node [--tiny]. Prints JSON lines.
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import {
  contextOf,
  emptyTensor,
  GpuCall,
  readTensor,
  requestHipDevice,
  Timer,
  uploadTensor,
  type GpuTensor,
  type PreparedCall,
} from '@hip/kernels-webgpu';
import {
  createGpuMatrix,
  encodeGatedLinear,
  encodeLinear,
  encodeNorm,
  encodeRotate,
  encodeScale,
  encodeTop,
  topBytes,
  WEIGHT_TYPES,
  type GpuMatrix,
  type MatrixTiling,
  type ProductOptions,
  type ProductVariant,
  type WeightType,
} from '@hip/kernels-webgpu/model';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dawn: { type: 'string' },
    tiny: { type: 'boolean', default: false },
    features: { type: 'string', default: 'allow_unsafe_apis,vulkan_enable_f16_on_nvidia' },
  },
});
const { tiny, dawn } = values;
if (!dawn) throw new Error('give --dawn PATH');
const { create, globals } = createRequire(import.meta.url)(dawn) as {
  create: (options: string[]) => GPU;
  globals: object;
};
Object.assign(globalThis, globals);
const gpu = create([`enable-dawn-features=${values.features}`, 'disable-dawn-features=timestamp_quantization']);
Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
const device = await requestHipDevice(adapter);
device.addEventListener('uncapturederror', ({ error }) =>
  process.stdout.write(`uncaptured: ${error.message.slice(0, 500)}\n`),
);
const context = contextOf(device);
const say = (row: object): void => {
  process.stdout.write(`${JSON.stringify(row)}\n`);
};
say({ profile: context.profile, limits: context.limits });
const half = context.profile.shaderF16 ? ('f16' as const) : ('f32' as const);
const began = performance.now();
const seconds = (): number => Math.round((performance.now() - began) / 100) / 10;

function noise(length: number, seed: number): Float32Array {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const made = new Map<string, Uint8Array<ArrayBuffer>>();
function matrixOf(type: WeightType, rows: number, columns: number, seed: number): GpuMatrix {
  const part = Math.min(rows, 512);
  const key = `${type} ${columns} ${part}`;
  const bytes = made.get(key) ?? bytesOf(type, part, columns, seed);
  made.set(key, bytes);
  const rowBytes = bytes.length / part;
  const matrix = createGpuMatrix(context, { type, rows, columns });
  for (let row = 0; row < rows; row += part)
    matrix.write(row, bytes.subarray(0, Math.min(part, rows - row) * rowBytes));
  return matrix;
}
function bytesOf(type: WeightType, part: number, columns: number, seed: number): Uint8Array<ArrayBuffer> {
  const { values: size, bytes: blockBytes } = WEIGHT_TYPES[type];
  const rowBytes = (columns / size) * blockBytes;
  const bytes = new Uint8Array(part * rowBytes);
  const random = noise(bytes.length, seed);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor((random[i] + 1) * 127.99);
  const view = new DataView(bytes.buffer);
  const scales = noise(2 * (bytes.length / blockBytes), seed + 1);
  const halves: Record<WeightType, number[]> = {
    F32: [],
    F16: [0],
    BF16: [],
    Q8_0: [0],
    Q4_0: [0],
    Q4_1: [0, 2],
    Q5_0: [0],
    Q5_1: [0, 2],
    Q4_K: [0, 2],
    Q5_K: [0, 2],
    Q6_K: [208],
  };
  for (let b = 0; b < bytes.length / blockBytes; b++) {
    const at = b * blockBytes;
    for (const [i, place] of halves[type].entries())
      view.setFloat16(at + place, scales[2 * b + i] * (size === 1 ? 0.05 : size === 32 ? 0.005 : 0.0002), true);
    if (type === 'F32') view.setFloat32(at, scales[b] * 0.05, true);
    if (type === 'BF16') {
      const word = new DataView(new ArrayBuffer(4));
      word.setFloat32(0, scales[b] * 0.05);
      view.setUint16(at, word.getUint16(0), true);
    }
  }
  return bytes;
}

const timer = new Timer(context, 512);
/** The GPU drops its clocks while the host prepares: keep it busy right before a figure. */
async function warm(prepared: PreparedCall): Promise<void> {
  const start = performance.now();
  while (performance.now() - start < (tiny ? 1 : 250)) {
    for (let i = 0; i < (tiny ? 1 : 10); i++) prepared.submit();
    await device.queue.onSubmittedWorkDone();
  }
}
/** Median of what a measurement of a prepared call gives, right after the GPU was kept busy with it. */
async function median(
  encode: (call: GpuCall) => void,
  runs: number,
  measure: (prepared: PreparedCall) => Promise<number>,
): Promise<number> {
  const call = new GpuCall(context);
  encode(call);
  const prepared = call.prepare();
  await warm(prepared);
  const times: number[] = [];
  for (let i = 0; i < runs; i++) times.push(await measure(prepared));
  prepared.release();
  return times.toSorted((a, b) => a - b)[Math.floor(runs / 2)]!;
}
/** Median GPU milliseconds of a call's passes together. */
const gpuTime = (encode: (call: GpuCall) => void, runs = 5): Promise<number> =>
  median(encode, runs, async (prepared) => {
    prepared.submit(timer);
    return (await timer.read()).reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  });
/** Wall milliseconds of a prepared call, submitted one after another. */
const wallTime = (encode: (call: GpuCall) => void, runs = 10): Promise<number> =>
  median(encode, runs, async (prepared) => {
    const start = performance.now();
    prepared.submit();
    await device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  });
const worst = (a: Float32Array, b: Float32Array): number => {
  let [off, size] = [0, 1e-9];
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    if (!(d <= off)) off = Number.isNaN(d) ? Infinity : d;
    size = Math.max(size, Math.abs(b[i]));
  }
  return off / size;
};

async function correct(): Promise<void> {
  for (const type of Object.keys(WEIGHT_TYPES) as WeightType[]) {
    const [rows, outputs, columns] = [200, 300, 512];
    const matrix = matrixOf(type, outputs, columns, 3);
    const second = matrixOf(type, 77, columns, 3);
    const x = uploadTensor(context, noise(rows * columns, 1), half);
    const results: Float32Array[] = [];
    const options: ProductOptions[] = [{ tier: 'basic' }, {}];
    for (const option of options) {
      const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
      const other = emptyTensor({ context, type: 'f32', length: rows * 77 });
      const call = new GpuCall(context);
      encodeLinear(
        call,
        {
          x,
          targets: [
            { matrix, out },
            { matrix: second, out: other },
          ],
          rows,
        },
        option,
      );
      call.submit();
      results.push(await readTensor(context, out), await readTensor(context, other));
    }
    const gates: Float32Array[] = [];
    for (const option of options) {
      const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
      const call = new GpuCall(context);
      encodeGatedLinear(call, { x, gate: { matrix }, up: { matrix }, activation: 'silu', out, rows }, option);
      call.submit();
      gates.push(await readTensor(context, out));
    }
    const few = emptyTensor({ context, type: 'f32', length: 3 * outputs });
    const call = new GpuCall(context);
    encodeLinear(call, { x, targets: [{ matrix, out: few }], rows: 3 });
    call.submit();
    const fewValues = await readTensor(context, few);
    say({
      correct: type,
      many: worst(results[2], results[0]),
      second: worst(results[3], results[1]),
      gated: worst(gates[1], gates[0]),
      few: worst(fewValues, results[0].subarray(0, 3 * outputs)),
    });
  }
}

const TILINGS: readonly MatrixTiling[] = (
  [
    [2, 4, 4, 4, 32],
    [2, 4, 4, 2, 64],
    [2, 4, 4, 2, 32],
    [2, 2, 4, 4, 32],
    [4, 2, 4, 4, 32],
    [4, 2, 2, 4, 64],
    [2, 4, 2, 2, 64],
  ] as const
).map(([rowSubgroups, outputSubgroups, rowMatrices, outputMatrices, depth]) => ({
  rowSubgroups,
  outputSubgroups,
  rowMatrices,
  outputMatrices,
  depth,
}));

async function many(): Promise<void> {
  const rows = tiny ? 64 : 2048;
  const shapes = tiny
    ? [[64, 64]]
    : [
        [1024, 4096],
        [2048, 1024],
        [1024, 6144],
        [3072, 1024],
      ];
  const measure = async (
    type: WeightType,
    columns: number,
    outputs: number,
    out: 'f32' | 'f16',
    options: ProductOptions,
  ) => {
    const matrix = matrixOf(type, outputs, columns, 1);
    const x = uploadTensor(context, noise(rows * columns, 2), half);
    const target = emptyTensor({ context, type: out, length: rows * outputs });
    const ms = await gpuTime((call) => encodeLinear(call, { x, targets: [{ matrix, out: target }], rows }, options), 3);
    matrix.dispose();
    target.buffer.destroy();
    x.buffer.destroy();
    return { ms, tflops: (2 * rows * columns * outputs) / ms / 1e9 };
  };
  for (const [columns, outputs] of shapes as [number, number][]) {
    for (const each of outputs === 4096 || columns === 3072 ? TILINGS : []) {
      if (context.profile.tier !== 'subgroup-matrix') break;
      const variant: ProductVariant = { kind: 'matrices', tiling: each, lanes: context.profile.subgroupMaxSize };
      say({
        many: 'F16',
        columns,
        outputs,
        tiling: Object.values(each).join(),
        ...(await measure('F16', columns, outputs, half, { variant })),
      });
    }
    for (const type of outputs === 4096 ? (['F16', 'Q8_0', 'Q4_1', 'Q4_K'] as const) : (['F16'] as const))
      say({
        many: type,
        columns,
        outputs,
        tiling: 'planned',
        ...(columns % 256 === 0 || !tiny ? await measure(type, columns, outputs, half, {}) : {}),
      });
  }
  say({
    many: 'F16',
    tier: 'basic',
    ...(await measure('F16', tiny ? 64 : 1024, tiny ? 64 : 4096, 'f32', { tier: 'basic' })),
  });
  say({ at: seconds() });
}

async function few(): Promise<void> {
  const shapes: [string, number, number, number][] = tiny
    ? [['qkv', 64, 64, 2]]
    : [
        ['qkv', 1024, 4096, 20],
        ['o', 2048, 1024, 28],
        ['gate', 1024, 6144, 16],
        ['down', 3072, 1024, 24],
        ['head', 1024, 151_936, 2],
      ];
  for (const type of ['F16', 'Q8_0', 'Q4_0', 'Q4_K'] as const) {
    for (const [name, columns, outputs, count] of shapes) {
      if (columns % WEIGHT_TYPES[type].values !== 0) continue;
      const matrices = Array.from({ length: count }, (_, i) => matrixOf(type, outputs, columns, i));
      const x = uploadTensor(context, noise(8 * columns, 2), 'f32');
      const out = emptyTensor({ context, type: 'f32', length: 8 * outputs });
      const bytes = matrices[0].bytes;
      const bench = async (rows: number, variant?: ProductVariant) => {
        const ms =
          (await gpuTime((call) => {
            for (const matrix of matrices) encodeLinear(call, { x, targets: [{ matrix, out }], rows }, { variant });
          })) / count;
        return { us: Math.round(ms * 1e5) / 100, TBs: Math.round(bytes / ms / 1e6) / 1000 };
      };
      say({ few: type, name, planned: await bench(1), rows8: await bench(8) });
      if ((type === 'F16' || type === 'Q4_0') && name !== 'gate' && name !== 'o') {
        for (const n of [4, 8, 16])
          for (const batch of [2, 4])
            say({
              few: type,
              name,
              n,
              batch,
              ...(await bench(1, {
                kind: 'rows',
                outputs: n,
                batch,
                threads: columns / 8,
                shuffle: Math.min(32, context.profile.subgroupMinSize),
              })),
            });
      }
      for (const matrix of matrices) matrix.dispose();
    }
  }
  say({ at: seconds() });
}

/** A token of Qwen3-0.6B without attention: dispatches, and what they take together. */
async function token(): Promise<void> {
  const layers = tiny ? 2 : 28;
  const [hidden, heads, kvHeads, headDim, ffn, vocabulary] = tiny
    ? [64, 2, 1, 32, 96, 512]
    : [1024, 16, 8, 128, 3072, 151_936];
  for (const type of ['F16', 'Q4_0'] as const) {
    const own = Array.from({ length: layers }, (_, i) => ({
      q: matrixOf(type, heads * headDim, hidden, i),
      k: matrixOf(type, kvHeads * headDim, hidden, i),
      v: matrixOf(type, kvHeads * headDim, hidden, i),
      o: matrixOf(type, hidden, heads * headDim, i),
      gate: matrixOf(type, ffn, hidden, i),
      up: matrixOf(type, ffn, hidden, i),
      down: matrixOf(type, hidden, ffn, i),
    }));
    const head = matrixOf(type, vocabulary, hidden, 1);
    for (const rows of [1, 8, tiny ? 40 : 2048]) {
      const many = rows > 8;
      const t = (length: number, kind: 'f32' | 'f16' = 'f32'): GpuTensor =>
        emptyTensor({ context, type: kind, length });
      const x = uploadTensor(context, noise(rows * hidden, 1), 'f32');
      const weight = uploadTensor(context, noise(Math.max(hidden, headDim), 1), 'f32');
      const [q, k, v] = [heads, kvHeads, kvHeads].map((count) => t(rows * count * headDim, half));
      const inner = t(rows * ffn, half);
      const tables = {
        cos: uploadTensor(context, noise((rows * headDim) / 2, 2), 'f32'),
        sin: uploadTensor(context, noise((rows * headDim) / 2, 3), 'f32'),
      };
      const logits = t((many ? 1 : rows) * vocabulary);
      const top = { rows: many ? 1 : rows, vocabulary, count: 64 };
      const answer = t(topBytes(top) / 4);
      const norm = { kind: 'rms', epsilon: 1e-6, weight } as const;
      const encode = (call: GpuCall): void => {
        for (const layer of own) {
          encodeLinear(
            call,
            {
              x,
              norm,
              rows,
              targets: [
                { matrix: layer.q, out: q },
                { matrix: layer.k, out: k },
                { matrix: layer.v, out: v },
              ],
            },
            { label: 'qkv' },
          );
          const headNorm = { weight, epsilon: 1e-6 };
          encodeRotate(
            call,
            {
              heads: [
                { x: q, count: heads, norm: headNorm },
                { x: k, count: kvHeads, norm: headNorm },
              ],
              tables,
            },
            { rows, headDim },
          );
          encodeLinear(
            call,
            { x: q, rows, targets: [{ matrix: layer.o, out: x, add: true, scale: 0.01 }] },
            { label: 'o' },
          );
          encodeGatedLinear(
            call,
            { x, norm, rows, gate: { matrix: layer.gate }, up: { matrix: layer.up }, activation: 'silu', out: inner },
            { label: 'gate' },
          );
          encodeLinear(
            call,
            { x: inner, rows, targets: [{ matrix: layer.down, out: x, add: true, scale: 0.01 }] },
            { label: 'down' },
          );
        }
        encodeLinear(call, { x, norm, rows: top.rows, targets: [{ matrix: head, out: logits }] }, { label: 'head' });
        encodeTop(call, { logits, out: answer }, top);
      };
      const wall = await wallTime(encode);
      const call = new GpuCall(context);
      encode(call);
      const prepared = call.prepare();
      await warm(prepared);
      prepared.submit(timer);
      const byLabel: Record<string, number> = {};
      let dispatches = 0;
      for (const { label, milliseconds } of await timer.read()) {
        byLabel[label] = (byLabel[label] ?? 0) + milliseconds;
        dispatches++;
      }
      prepared.release();
      const sum = Object.values(byLabel).reduce((a, b) => a + b, 0);
      say({
        token: type,
        rows,
        wall,
        gpu: sum,
        dispatches,
        ...Object.fromEntries(Object.entries(byLabel).map(([label, ms]) => [label, Math.round(ms * 1000) / 1000])),
      });
      const norms = t(rows * hidden, half);
      if (many) say({ norm: await gpuTime((c) => encodeNorm(c, { x, out: norms }, { ...norm, rows, width: hidden })) });
      for (const tensor of [x, q, k, v, inner, logits]) tensor.buffer.destroy();
    }
    for (const layer of own) for (const matrix of Object.values(layer)) matrix.dispose();
    head.dispose();
  }
  say({ at: seconds() });
}

/** What a dispatch costs that has next to nothing to do, after one that it waits for. */
async function floor(): Promise<void> {
  const x = uploadTensor(context, noise(1024, 1), 'f32');
  const others = Array.from({ length: 200 }, () => uploadTensor(context, noise(1024, 1), 'f32'));
  const dependent = await wallTime((call) => {
    for (let i = 0; i < 200; i++) encodeScale(call, x, { length: 1024, factor: 1 });
  });
  const apart = await wallTime((call) => {
    for (const each of others) encodeScale(call, each, { length: 1024, factor: 1 });
  });
  say({ floor: 'us a dispatch', dependent: dependent * 5, apart: apart * 5 });
}

const sections: Record<string, () => Promise<void>> = { correct, floor, token, many, few };
for (const name of positionals.length > 0 ? positionals : Object.keys(sections)) {
  try {
    await sections[name]();
    await context.settled();
  } catch (error) {
    say({ failed: name, error: String(error).slice(0, 600) });
  }
}
process.exit(0);
