// onnxruntime in Node or in a browser's page; it is no dependency.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { exportOnnx } from '../export/onnx.ts';
import type { OnnxOptions } from '../export/onnx.ts';
import type { ElasticModel, ModelInputs } from '../model/types.ts';
import { probeInputs } from './measure.ts';
import type { LatencyRunner } from './runner.ts';

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
