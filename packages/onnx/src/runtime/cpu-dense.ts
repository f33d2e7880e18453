// Dense attention of many rows by onnxruntime itself: a model of one node. Its vectors are as wide as the processor's, WebAssembly's 128 bits.
import { onnxGraph, onnxModel, onnxNode, onnxValue } from '../model/build.ts';
import { onnxModelBytes } from '../model/render.ts';
import { bytesWeight } from '../model/weight.ts';
import type { HeadSizes, KeysAndValues } from './backend.ts';
import { createOrtSession, tensorClass, type Ort, type OrtSession, type OrtSessionOptions } from './ort.ts';

/** Rows from which it pays to hand keys and values over. */
const FEWEST_ROWS = 128;

/** What multiplies and bounds scores; undefined and 0: 1/√channels, no bound. */
export interface DenseForm {
  readonly scale: number | undefined;
  readonly softcap: number;
}

/** Rows of a text and what comes before them, [rows, heads, channels] each. */
export interface DenseRows extends KeysAndValues {
  readonly q: Float32Array;
  readonly past: () => KeysAndValues;
}

export class DenseAttention implements Disposable {
  readonly #ort: Ort;
  readonly #options: OrtSessionOptions;
  /** By sizes and form. Undefined: this onnxruntime does not load it. */
  readonly #sessions = new Map<string, OrtSession | undefined>();

  constructor(ort: Ort, options: OrtSessionOptions) {
    this.#ort = ort;
    this.#options = options;
  }

  /** Causal attention of the rows, [rows, heads, channels]; undefined where they are few, or the runtime has no such node. */
  async attend(sizes: HeadSizes, form: DenseForm, { q, k, v, past }: DenseRows): Promise<Float32Array | undefined> {
    const { heads, kvHeads, headDim } = sizes;
    const rows = q.length / (heads * headDim);
    if (rows < FEWEST_ROWS) return undefined;
    const session = await this.#session(sizes, form);
    if (!session) return undefined;
    const Tensor = tensorClass(this.#ort);
    const before = past();
    const keys = before.k.length / (kvHeads * headDim);
    const floats = (numbers: Float32Array, dims: number[]) => new Tensor('float32', numbers, dims);
    const pastOf = (numbers: Float32Array) => floats(byHead(numbers, sizes), [1, kvHeads, keys, headDim]);
    const outputs = await session.run(
      {
        q: floats(q, [1, rows, heads * headDim]),
        k: floats(k, [1, rows, kvHeads * headDim]),
        v: floats(v, [1, rows, kvHeads * headDim]),
        past_k: pastOf(before.k),
        past_v: pastOf(before.v),
        last: new Tensor('int32', Int32Array.of(keys + rows - 1), [1, 1]),
        total: new Tensor('int32', Int32Array.of(keys + rows), [1]),
      },
      ['out'],
    );
    return outputs['out']!.data as Float32Array;
  }

  async #session(sizes: HeadSizes, form: DenseForm): Promise<OrtSession | undefined> {
    const name = JSON.stringify([sizes, form]);
    if (!this.#sessions.has(name)) {
      const bytes = await denseModel(sizes, form);
      this.#sessions.set(
        name,
        await createOrtSession(this.#ort, bytes, 'attention', this.#options).catch(() => undefined),
      );
    }
    return this.#sessions.get(name);
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) void session?.release();
    this.#sessions.clear();
  }
}

/** com.microsoft GroupQueryAttention, nothing beside it. */
function denseModel({ heads, kvHeads, headDim }: HeadSizes, { scale, softcap }: DenseForm): Promise<Uint8Array> {
  const attributes = {
    num_heads: BigInt(heads),
    kv_num_heads: BigInt(kvHeads),
    ...(scale !== undefined && { scale }),
    ...(softcap > 0 && { softcap }),
  };
  const inputs = ['q', 'k', 'v', 'past_k', 'past_v', 'last', 'total'];
  const outputs = ['out', 'present_k', 'present_v'];
  const cache = (name: string, tokens: string) => onnxValue(name, 'float', [1, kvHeads, tokens, headDim]);
  const row = (name: string, count: number) => onnxValue(name, 'float', [1, 'rows', count * headDim]);
  const graph = onnxGraph('attention', {
    node: [onnxNode('GroupQueryAttention', inputs, outputs, { domain: 'com.microsoft', attributes })],
    input: [
      row('q', heads),
      row('k', kvHeads),
      row('v', kvHeads),
      cache('past_k', 'past'),
      cache('past_v', 'past'),
      onnxValue('last', 'int32', [1, 1]),
      onnxValue('total', 'int32', [1]),
    ],
    output: [row('out', heads), cache('present_k', 'all'), cache('present_v', 'all')],
  });
  const proto = onnxModel(graph, { '': 17, 'com.microsoft': 1 }, { irVersion: 8 });
  return onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
}

/** [tokens, kvHeads, channels] as [kvHeads, tokens, channels]. */
function byHead(numbers: Float32Array, { kvHeads, headDim }: HeadSizes): Float32Array {
  if (kvHeads === 1) return numbers;
  const moved = new Float32Array(numbers.length);
  const tokens = numbers.length / (kvHeads * headDim);
  for (let head = 0; head < kvHeads; head++) {
    for (let token = 0; token < tokens; token++) {
      const from = (token * kvHeads + head) * headDim;
      moved.set(numbers.subarray(from, from + headDim), (head * tokens + token) * headDim);
    }
  }
  return moved;
}
