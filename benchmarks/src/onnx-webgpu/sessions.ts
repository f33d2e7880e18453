// The two sessions that are compared: onnxruntime-web with the whole graph, and the same graph cut at its attention.
import { readFile } from 'node:fs/promises';
import type * as Ort from 'onnxruntime-web';
import { createHipSession, type HipSessionOptions } from '@hip/onnx';

export type Tensors = Record<string, Ort.Tensor>;

/** One of them. */
export interface Runner {
  readonly name: string;
  /** Runs tokens after a cache; the logits of the last one are on the host when it resolves. */
  step(ids: Int32Array, past: Tensors | undefined): Promise<Tensors>;
  /** Logits of the last token of the last step. */
  logits(): Float32Array;
  /** An empty cache that says it holds so many tokens, all 0. */
  zeros?(tokens: number): Tensors;
  /** Milliseconds in the pieces' runs, and runs, since the last call of this. */
  pieces?(): { readonly runMs: number; readonly runs: number };
  release(): Promise<void>;
}

interface Session {
  readonly inputMetadata: readonly {
    readonly name: string;
    readonly shape: readonly (number | string)[];
    readonly type: string;
  }[];
  run(feeds: Tensors): Promise<Record<string, unknown>>;
  release(): Promise<void>;
}

/** Files of a model: `model.onnx` and its data. */
export interface ModelFiles {
  readonly folder: string;
  /** Path of the model in the folder. */
  readonly model: string;
}

/** A mask of the longest text: a caller keeps it, too. */
let ones = new BigInt64Array(0);

function onesOf(tokens: number): BigInt64Array {
  if (ones.length < tokens) ones = new BigInt64Array(2 * tokens).fill(1n);
  return ones.subarray(0, tokens);
}

function runner(ort: typeof Ort, name: string, session: Session): Runner {
  let last: Float32Array = new Float32Array();
  const int64 = (values: ArrayLike<number>, dims: number[]) =>
    new ort.Tensor(
      'int64',
      BigInt64Array.from({ length: values.length }, (_, i) => BigInt(values[i]!)),
      dims,
    );
  return {
    name,
    async step(ids, past) {
      const before = past ? Object.values(past)[0]!.dims[2]! : 0;
      const feeds: Tensors = {};
      for (const { name: input, shape, type } of session.inputMetadata) {
        const known = past?.[input.replace('past_key_values', 'present')];
        if (known) feeds[input] = known;
        else if (input === 'input_ids') feeds[input] = int64(ids, [1, ids.length]);
        else if (input === 'num_logits_to_keep') feeds[input] = int64([1], []);
        else if (input === 'attention_mask') {
          const total = before + ids.length;
          feeds[input] = new ort.Tensor('int64', onesOf(total), [1, total]);
        } else {
          const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : 0));
          const empty = type === 'float16' ? new Float16Array(0) : new Float32Array(0);
          feeds[input] = new ort.Tensor(type as 'float32', empty as Float32Array, dims);
        }
      }
      const outputs = (await session.run(feeds)) as Tensors;
      const logits = outputs['logits']!;
      const numbers = (await logits.getData()) as Float32Array;
      last = Float32Array.from(numbers.subarray(-logits.dims.at(-1)!));
      if (!Number.isFinite(numbers[0])) throw new Error(`${name}: logits are not finite`);
      return Object.fromEntries(Object.entries(outputs).filter(([output]) => output.startsWith('present')));
    },
    logits: () => last,
    release: () => session.release(),
  };
}

/** onnxruntime-web with the whole graph; caches stay on the GPU. */
export async function wholeRunner(
  ort: typeof Ort,
  { folder, model }: ModelFiles,
  device: GPUDevice,
  { provider = {}, name = 'onnxruntime-web, whole' }: { readonly provider?: object; readonly name?: string } = {},
): Promise<Runner> {
  const data = `${model.replace(/^.*\//, '')}_data`;
  const present = (await presentNames(`${folder}/${model}`)).map((name) => [name, 'gpu-buffer'] as const);
  const session = await ort.InferenceSession.create(await readFile(`${folder}/${model}`), {
    executionProviders: [{ ...provider, name: 'webgpu', device }],
    externalData: [{ path: data, data: await readFile(`${folder}/${model}_data`) }],
    preferredOutputLocation: Object.fromEntries(present),
    logSeverityLevel: 3,
  });
  const own = runner(ort, name, session as unknown as Session);
  const zeros = (tokens: number): Tensors => {
    const pasts = (session as unknown as Session).inputMetadata.filter(({ name: input }) => input.startsWith('past'));
    return Object.fromEntries(
      pasts.map(({ name: input, shape, type }) => {
        const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : tokens));
        const bytes = dims.reduce((product, dim) => product * dim, type === 'float16' ? 2 : 4);
        const buffer = device.createBuffer({ size: bytes, usage: 0x80 | 0x08 | 0x04 });
        const dispose = (): void => buffer.destroy();
        const given = { dataType: type, dims, dispose } as Parameters<typeof ort.Tensor.fromGpuBuffer>[1];
        return [input.replace('past_key_values', 'present'), ort.Tensor.fromGpuBuffer(buffer, given)];
      }),
    );
  };
  return { ...own, zeros };
}

async function presentNames(path: string): Promise<string[]> {
  const { openOnnxModel } = await import('@hip/onnx/model');
  const opened = await openOnnxModel(path);
  await opened.close();
  return opened.graph.output.flatMap(({ name }) => (name.startsWith('present') ? [name] : []));
}

/** The graph cut at its attention; what its pieces' runs take is counted. */
export async function cutRunner(
  ort: typeof Ort,
  { folder, model }: ModelFiles,
  options: HipSessionOptions,
  name = 'onnxruntime-web, cut, HiP between',
): Promise<Runner> {
  const cut = model.lastIndexOf('/');
  let [runMs, runs] = [0, 0];
  const timed = {
    Tensor: ort.Tensor,
    InferenceSession: {
      create: async (bytes: Uint8Array, given: Ort.InferenceSession.SessionOptions) => {
        const piece = await ort.InferenceSession.create(bytes, given);
        const run = async (feeds: Tensors, fetches: string[], how: Ort.InferenceSession.RunOptions) => {
          const start = performance.now();
          const outputs = await piece.run(feeds, fetches, how);
          runMs += performance.now() - start;
          runs++;
          return outputs;
        };
        return { inputNames: piece.inputNames, outputNames: piece.outputNames, run, release: () => piece.release() };
      },
    },
  };
  const session = await createHipSession(timed as never, `${folder}/${model.slice(0, cut)}`, {
    ...options,
    device: 'webgpu',
    file: model.slice(cut + 1),
  });
  return {
    ...runner(ort, name, session as unknown as Session),
    pieces: () => {
      const counted = { runMs, runs };
      [runMs, runs] = [0, 0];
      return counted;
    },
  };
}
