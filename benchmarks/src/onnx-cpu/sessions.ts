// The two sessions that are compared: the whole graph on onnxruntime-node, and the same graph cut, with the pieces' time counted apart.
import * as ort from 'onnxruntime-node';
import { createHipSession, type HipSession, type HipSessionOptions } from '@hip/onnx';

export type Tensors = Record<string, ort.Tensor>;

/** One of them. */
export interface Runner {
  readonly name: string;
  /** Runs tokens after a cache; logits of the last `keep` rows (0: all). */
  step(
    ids: Int32Array,
    past: Tensors | undefined,
    keep: number,
  ): Promise<{ readonly logits: ort.Tensor; readonly present: Tensors }>;
  /** Milliseconds that pieces took since the last call of this; NaN of the whole graph. */
  piecesMs(): number;
  release(): Promise<void>;
}

const int64 = (values: ArrayLike<number>, dims: readonly number[]) =>
  new ort.Tensor('int64', BigInt64Array.from(values as ArrayLike<number> & Iterable<number>, BigInt), dims);

/** Feeds of a call: the caches of the call before, or empty ones. */
function feedsOf(
  inputs: readonly { readonly name: string; readonly shape?: readonly (number | string)[] }[],
  ids: Int32Array,
  past: Tensors | undefined,
  keep: number,
): Tensors {
  const before = past ? Object.values(past)[0]!.dims[2]! : 0;
  const total = before + ids.length;
  return Object.fromEntries(
    inputs.map(({ name, shape = [] }) => {
      if (name === 'input_ids') return [name, int64(ids, [1, ids.length])];
      if (name === 'attention_mask') return [name, int64(new Uint8Array(total).fill(1), [1, total])];
      if (name === 'num_logits_to_keep') return [name, int64([keep], [])];
      const known = past?.[name.replace('past_key_values', 'present')];
      if (known) return [name, known];
      const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : 0));
      return [name, new ort.Tensor('float32', new Float32Array(0), dims)];
    }),
  );
}

const presentOf = (outputs: Tensors): Tensors =>
  Object.fromEntries(Object.entries(outputs).filter(([name]) => name.startsWith('present')));

/** The whole graph. */
export async function wholeRunner(path: string, threads: number): Promise<Runner> {
  const session = await ort.InferenceSession.create(path, { intraOpNumThreads: threads });
  const inputs = session.inputMetadata as readonly { name: string; shape?: (number | string)[] }[];
  return {
    name: 'onnxruntime',
    async step(ids, past, keep) {
      const outputs = (await session.run(feedsOf(inputs, ids, past, keep))) as Tensors;
      return { logits: outputs['logits']!, present: presentOf(outputs) };
    },
    piecesMs: () => Number.NaN,
    release: () => session.release(),
  };
}

/** The graph cut at its attention. */
export async function cutRunner(
  name: string,
  path: string,
  threads: number,
  options: HipSessionOptions,
): Promise<Runner> {
  let pieces = 0;
  const timed = {
    Tensor: ort.Tensor,
    env: ort.env,
    InferenceSession: {
      create: async (model: Uint8Array, given: ort.InferenceSession.SessionOptions) => {
        const piece = await ort.InferenceSession.create(model, given);
        const run = async (feeds: ort.InferenceSession.FeedsType, fetches: string[]) => {
          const start = performance.now();
          const outputs = await piece.run(feeds, fetches);
          pieces += performance.now() - start;
          return outputs;
        };
        return { inputNames: piece.inputNames, outputNames: piece.outputNames, run, release: () => piece.release() };
      },
    },
  };
  const session: HipSession = await createHipSession(timed, path, {
    threads,
    sessionOptions: { intraOpNumThreads: threads },
    ...options,
  });
  return {
    name,
    async step(ids, past, keep) {
      const outputs = (await session.run(feedsOf(session.inputMetadata, ids, past, keep))) as Tensors;
      return { logits: outputs['logits']!, present: presentOf(outputs) };
    },
    piecesMs: () => {
      const ms = pieces;
      pieces = 0;
      return ms;
    },
    release: () => session.release(),
  };
}

/** Frees caches. */
export function dispose(tensors: Tensors): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}
