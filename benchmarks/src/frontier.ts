// The frontier of time and distance from dense attention: each configuration once, its KL on SmolLM2 and its time on the CPU in one row.
// HIP_QUALITY_BACKEND: wasm (default) or webgpu, for the KL; HIP_QUALITY_CONFIGURATIONS: names, `;` between them; HIP_QUALITY_WINDOWS: how
// many; HIP_QUALITY_TOKENS: of a window; HIP_QUALITY_KEEP: see quality-smollm2.ts.
import { createCpuRuntime, type CpuRuntime } from '@hip/kernels-cpu';
import { layerConfig, type HipConfig } from '@hip/mask-search';
import { prepareAttention } from '@hip/attention';
import { sharedPath } from '@hip/testing';
import { loadCheckpoint } from '@instatune/supernet';
import { median, type Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';
import { KeptRows } from './kept.ts';
import { generator } from './quality/random.ts';
import { configurationOf, type Named } from './quality-smollm2/configurations.ts';
import { means, prefillRows, windowsOf } from './quality-smollm2/windows.ts';

type Row = Record<string, unknown>;

const CONFIGURATIONS = [
  'paper',
  'bounds',
  'default:k=128',
  'default:k=192',
  'default',
  'default:k=448',
  'default:k=640',
  'profile',
];
/** SmolLM2's attention. */
const SHAPE = { batch: 1, heads: 9, kvHeads: 3, headDim: 64 };
/** Models of so many caches at once: wasm addresses 4 GiB. */
const TOGETHER = 2;
const ROUNDS = 5;

export const benchmark: Benchmark = {
  name: 'frontier',
  description: 'time against distance from dense: the same configurations, on SmolLM2 and on two CPU cores',
  async run({ quick, log, signal }) {
    const { env } = process;
    const names = env['HIP_QUALITY_CONFIGURATIONS']?.split(';') ?? (quick ? ['bounds', 'default'] : CONFIGURATIONS);
    const configurations = names.map(configurationOf);
    const tokens = Number(env['HIP_QUALITY_TOKENS'] ?? (quick ? 640 : 8192));
    const timed = quick ? 1024 : 8192;
    const kept = new KeptRows(env['HIP_QUALITY_KEEP']);
    log(`time at ${timed} tokens`);
    const times = await kept.of(['time', timed, ...names].join(' '), () => timeRows(configurations, timed, signal));
    const windows = Number(env['HIP_QUALITY_WINDOWS'] ?? (quick ? 1 : 4));
    const { rows: distances, environment } = await distanceRows(configurations, { tokens, windows, kept, log, signal });
    const rows = configurations.map(({ name }) => {
      const of = (found: readonly Row[]): Row | undefined => found.find((row) => row['configuration'] === name);
      return { ...of(distances), part: 'frontier', ...of(times), tokens };
    });
    return { rows, environment };
  },
};

/** Milliseconds of one layer's prefill, search and attention: medians of rounds in which all take turns, dense among them. */
async function timeRows(configurations: readonly Named[], tokens: number, signal: AbortSignal): Promise<Row[]> {
  using cpu = await createCpuRuntime({ threads: 2 });
  const shape = { ...SHAPE, queries: tokens, keys: tokens };
  const random = generator(1);
  const [q, k, v] = [SHAPE.heads, SHAPE.kvHeads, SHAPE.kvHeads].map((heads) =>
    Float32Array.from({ length: tokens * heads * SHAPE.headDim }, () => 2 * random() - 1),
  ) as [Float32Array, Float32Array, Float32Array];
  const clock = (work: () => unknown): number => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };
  const dense: number[] = [];
  const found = configurations.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    signal.throwIfAborted();
    const exact = clock(() => cpu.denseAttention(q, k, v, shape));
    const own = configurations.map((named) => clock(() => attend(cpu, [q, k, v], shape, sparseConfig(named))));
    // The first round warms up.
    if (round === 0) continue;
    dense.push(exact);
    for (const [i, ms] of own.entries()) found[i]!.push(ms);
  }
  const denseMs = Number(median(dense).toPrecision(4));
  return configurations.map(({ name }, i) => ({
    configuration: name,
    timedTokens: tokens,
    prefillMs: Number(median(found[i]!).toPrecision(4)),
    denseMs,
  }));
}

function attend(
  cpu: CpuRuntime,
  [q, k, v]: readonly [Float32Array, Float32Array, Float32Array],
  shape: Parameters<CpuRuntime['hipAttention']>[3],
  config: HipConfig,
): void {
  cpu.hipAttention(q, k, v, shape, config);
}

/** What a layer in the middle runs. */
function sparseConfig({ name, options }: Named): HipConfig {
  const layer = layerConfig(options.config ?? {}, 10);
  if (layer === 'dense') throw new Error(`layer 10 is dense in "${name}": there is nothing to time`);
  return layer;
}

async function distanceRows(
  configurations: readonly Named[],
  {
    tokens,
    windows,
    kept,
    log,
    signal,
  }: {
    readonly tokens: number;
    readonly windows: number;
    readonly kept: KeptRows;
    readonly log: (line: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<{ readonly rows: Row[]; readonly environment: Row }> {
  const backend = process.env['HIP_QUALITY_BACKEND'] === 'webgpu' ? 'webgpu' : 'wasm';
  const folder = sharedPath('models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');
  const goldens = sharedPath('goldens', 'smollm2', 'books.safetensors');
  if (!folder || !goldens)
    throw new Error('needs ../shared/models/smollm2-135m-instruct and ../shared/goldens/smollm2');
  const environment = await startTfjs(backend);
  using prepared = await prepareAttention({ matmul: true });
  const { model } = await loadCheckpoint(folder);
  try {
    const rows: Row[] = [];
    for (const window of (await windowsOf(goldens)).slice(0, windows)) {
      for (let at = 0; at < configurations.length; at += TOGETHER) {
        signal.throwIfAborted();
        const some = configurations.slice(at, at + TOGETHER);
        const names = some.map(({ name }) => name).join(';');
        log(`${window.name}: ${names}`);
        rows.push(
          ...(await kept.of(['prefill', window.name, tokens, backend, names].join(' '), () =>
            prefillRows(model, window, tokens, some, 1024),
          )),
        );
      }
    }
    return {
      rows: windows > 1 ? means(rows) : rows,
      environment: { ...environment, kernels: prepared.backend, threads: 2, windows },
    };
  } finally {
    model.dispose();
  }
}
