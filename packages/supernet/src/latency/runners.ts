// Latency where a sub-network will run: onnxruntime in Node or in a browser's page, @hip/llm, another tfjs backend; none is a dependency.
import * as tf from '@tensorflow/tfjs';
import { integerOption } from '../counts.ts';
import { fullSubnet } from '../elastic/subnets.ts';
import { validateSubnet } from '../elastic/validate.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { renderCheckpoint } from '../export/extract.ts';
import { exportOnnx } from '../export/onnx.ts';
import type { OnnxOptions } from '../export/onnx.ts';
import { extractModel } from '../export/values.ts';
import type { ElasticModel, ModelInputs } from '../model/types.ts';
import { latencyShape, probeInputs, summarize } from './measure.ts';
import type { Latency, LatencyOptions } from './measure.ts';

/** A sub-network made ready on some runtime. */
export interface PreparedNetwork {
  /** One pass over the whole batch, finished when it resolves. Milliseconds of it, where the runtime's own clock is elsewhere (a page). */
  run(): Promise<number | void>;
  dispose(): void | Promise<void>;
}

/** Where sub-networks are timed: what is optimised is what will run. */
export interface LatencyRunner {
  /** For tables and reports, e.g. `onnxruntime-node q8`. */
  readonly name: string;
  prepare(
    model: ElasticModel,
    subnet: SubnetConfig,
    shape: { readonly batch: number; readonly sequence: number },
  ): Promise<PreparedNetwork>;
}

/** Options of {@link measureOn}. */
export type RunnerOptions = Pick<LatencyOptions, 'batch' | 'sequence' | 'warmup' | 'repeats' | 'signal' | 'onProgress'>;

/**
 * Times several sub-networks in turn on a runtime, as `measureLatencies` does on tfjs.
 *
 * @returns one latency per sub-network, in order
 * @throws SupernetError `invalid-option`, `invalid-subnet`, `aborted`, and what the runtime throws
 *
 * @example
 * ```ts
 * import * as ort from 'onnxruntime-node';
 * import { measureOn, onnxRunner, smallestSubnet } from '@instatune/supernet';
 *
 * const [small] = await measureOn(onnxRunner(ort, { dtype: 'q8' }), model, [smallestSubnet(model.space)], { sequence: 16, repeats: 3 });
 * console.log(small!.repeats); // => 3
 * ```
 */
export async function measureOn(
  runner: LatencyRunner,
  model: ElasticModel,
  subnets: readonly SubnetConfig[] = [fullSubnet(model.space)],
  options: RunnerOptions = {},
): Promise<Latency[]> {
  const { warmup = 2, repeats = 9, signal } = options;
  const shape = latencyShape(model, options);
  integerOption('warmup', warmup, 0);
  integerOption('repeats', repeats, 1);
  for (const subnet of subnets) validateSubnet(model.space, subnet);
  const networks: PreparedNetwork[] = [];
  try {
    for (const subnet of subnets) {
      throwIfAborted(signal, 'measuring latency');
      networks.push(await runner.prepare(model, subnet, shape));
    }
    const times: number[][] = subnets.map(() => []);
    const total = (warmup + repeats) * subnets.length;
    let passes = 0;
    for (let round = -warmup; round < repeats; round++) {
      for (const [index, network] of networks.entries()) {
        throwIfAborted(signal, 'measuring latency');
        const start = performance.now();
        const told = await network.run();
        const passed = performance.now() - start;
        if (round >= 0) times[index]?.push(told ?? passed);
        options.onProgress?.({ passes: ++passes, total });
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return times.map(summarize);
  } finally {
    for (const network of networks) await network.dispose();
  }
}

/** tfjs on a backend, this one if none is named. The backend in use before is set again after every pass. */
export function tfjsRunner(backend?: string): LatencyRunner {
  const on = async <T>(action: () => Promise<T>): Promise<T> => {
    const before = tf.getBackend();
    if (backend && !(await starts(backend))) {
      throw new SupernetError('invalid-option', `backend = ${backend}: it does not start here`, { backend });
    }
    try {
      return await action();
    } finally {
      if (backend) await tf.setBackend(before);
    }
  };
  return {
    name: `tfjs-${backend ?? tf.getBackend()}`,
    prepare: async (model, subnet, { batch, sequence }) => {
      // Weights are read where they are, and made where they are timed.
      const { network, inputs } = await on(async () => ({
        network: await extractModel(model, subnet),
        inputs: probeInputs(model, batch, sequence),
      }));
      return {
        run: () =>
          on(async () => {
            const start = performance.now();
            const output = tf.tidy(() => network.forward(inputs, { logits: 'last' }).logits);
            await output.data();
            output.dispose();
            return performance.now() - start;
          }),
        dispose: () => {
          network.dispose();
          tf.dispose(Object.values(inputs) as tf.Tensor[]);
        },
      };
    },
  };
}

async function starts(backend: string): Promise<boolean> {
  try {
    return await tf.setBackend(backend);
  } catch {
    // Not registered.
    return false;
  }
}

/** The part of onnxruntime-node and onnxruntime-web that is used: hand over the module. */
export interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: Readonly<Record<string, unknown>>): Promise<OnnxSession>;
  };
  readonly Tensor: new (
    type: 'int64' | 'float32',
    data: BigInt64Array | Float32Array,
    dims: readonly number[],
  ) => unknown;
}

/** A session of {@link OnnxRuntime}. */
export interface OnnxSession {
  readonly inputNames: readonly string[];
  run(feeds: never): Promise<Readonly<Record<string, { dispose?(): void }>>>;
  release?(): Promise<void>;
}

/** Inputs of a pass as plain data, so that they can be sent to a page. */
export interface PlainFeed {
  readonly type: 'int64' | 'float32';
  /** Numbers; int64 ones too. */
  readonly data: readonly number[];
  readonly dims: readonly number[];
}

/**
 * onnxruntime, in Node or wherever this runs: exports each sub-network (`dtype` and the other options of `exportOnnx`) and times its session.
 *
 * @param session - options of `InferenceSession.create`, e.g. `{ executionProviders: ['webgpu'] }`
 */
export function onnxRunner(
  runtime: OnnxRuntime,
  options: OnnxOptions & { readonly session?: Readonly<Record<string, unknown>> } = {},
): LatencyRunner {
  const { session: settings, ...onnx } = options;
  return {
    name: `onnxruntime ${onnx.dtype ?? 'fp32'}`,
    prepare: async (model, subnet, shape) => {
      const bytes = await exportOnnx(model, subnet, { ...onnx, cache: false });
      const session = await runtime.InferenceSession.create(bytes, settings);
      const plain = await plainFeeds(model, session.inputNames, shape);
      const feeds = Object.fromEntries(
        Object.entries(plain).map(([name, { type, data, dims }]) => [
          name,
          new runtime.Tensor(type, type === 'int64' ? BigInt64Array.from(data, BigInt) : Float32Array.from(data), dims),
        ]),
      );
      return {
        run: async () => {
          for (const output of Object.values(await session.run(feeds as never))) output.dispose?.();
        },
        dispose: () => session.release?.(),
      };
    },
  };
}

/**
 * A page of a browser, through whatever drives it (`page.evaluate` of Playwright and Puppeteer, a Worker's messages): `time` is given the exported
 * model's bytes and its inputs as plain data, and answers with what times a pass in the page, by the page's clock.
 */
export function pageRunner(
  name: string,
  time: (
    model: Uint8Array,
    feeds: Readonly<Record<string, PlainFeed>>,
  ) => Promise<{ pass(): Promise<number>; close(): void | Promise<void> }>,
  options: OnnxOptions = {},
): LatencyRunner {
  return {
    name,
    prepare: async (model, subnet, shape) => {
      const bytes = await exportOnnx(model, subnet, { ...options, cache: false });
      const names = inputNames(model, options);
      const page = await time(bytes, await plainFeeds(model, names, shape));
      return { run: () => page.pass(), dispose: () => page.close() };
    },
  };
}

/** The part of @hip/llm's model that is used. */
export interface TimedLanguageModel {
  /** Runs a prompt of so many tokens and is done when its logits are there. */
  run(tokens: readonly number[]): Promise<void>;
  dispose(): void | Promise<void>;
}

/**
 * `@hip/llm`, or whatever loads a checkpoint's files: `load` is given the sub-network as files by name (config.json, model.safetensors, the
 * tokenizer), as `memoryFiles` takes them.
 */
export function checkpointRunner(
  name: string,
  load: (files: ReadonlyMap<string, Uint8Array>) => Promise<TimedLanguageModel>,
): LatencyRunner {
  return {
    name,
    prepare: async (model, subnet, { batch, sequence }) => {
      if (batch !== 1)
        throw new SupernetError('invalid-option', `batch = ${batch}: ${name} takes one prompt`, { batch });
      const { files } = await renderCheckpoint(model, subnet);
      const bytes = new Map(files.map((file) => [file.name, joined(file.chunks)]));
      const loaded = await load(bytes);
      const ids = Array.from({ length: sequence }, (_, i) => 1 + ((i * 31) % Math.max(1, model.config.vocabSize - 1)));
      return { run: () => loaded.run(ids), dispose: () => loaded.dispose() };
    },
  };
}

function joined(chunks: Iterable<Uint8Array>): Uint8Array {
  const all = [...chunks];
  const bytes = new Uint8Array(all.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of all) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

function inputNames({ config }: ElasticModel, { attentionMask = !config.causal }: OnnxOptions): string[] {
  if (config.patches && !config.multiway) return ['pixel_values'];
  return [
    'input_ids',
    ...(attentionMask ? ['attention_mask'] : []),
    ...(config.typeVocabSize > 1 ? ['token_type_ids'] : []),
    ...(config.multiway ? ['pixel_values'] : []),
  ];
}

/** Inputs of a graph by its names. @throws SupernetError `unsupported-model` for an input that is not known */
async function plainFeeds(
  model: ElasticModel,
  names: readonly string[],
  { batch, sequence }: { readonly batch: number; readonly sequence: number },
): Promise<Record<string, PlainFeed>> {
  const inputs: ModelInputs = probeInputs(model, batch, sequence);
  const { inputIds, pixelValues } = inputs;
  const [ids, pixels] = [await inputIds?.data(), await pixelValues?.data()];
  const dims = inputIds?.shape ?? [];
  const like = (value: number): PlainFeed => ({ type: 'int64', data: Array.from(ids ?? [], () => value), dims });
  const known: Readonly<Record<string, PlainFeed | undefined>> = {
    input_ids: ids && { type: 'int64', data: Array.from(ids), dims },
    attention_mask: ids && like(1),
    token_type_ids: ids && like(0),
    pixel_values: pixels && pixelValues && { type: 'float32', data: Array.from(pixels), dims: pixelValues.shape },
  };
  tf.dispose(Object.values(inputs) as tf.Tensor[]);
  return Object.fromEntries(
    names.map((name) => {
      const feed = known[name];
      if (feed) return [name, feed];
      throw new SupernetError('unsupported-model', `input ${name} of the graph is none that is timed`, { name });
    }),
  );
}
