// Dense attention of many rows by onnxruntime itself: a model of one node. Its vectors are as wide as the processor's, WebAssembly's 128 bits.
import { groupQueryModel } from '../model/group-query.ts';
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
        query: floats(q, [1, rows, heads * headDim]),
        key: floats(k, [1, rows, kvHeads * headDim]),
        value: floats(v, [1, rows, kvHeads * headDim]),
        past_key: pastOf(before.k),
        past_value: pastOf(before.v),
        seqlens_k: new Tensor('int32', Int32Array.of(keys + rows - 1), [1]),
        total_sequence_length: new Tensor('int32', Int32Array.of(keys + rows), []),
      },
      ['output'],
    );
    return outputs['output']!.data as Float32Array;
  }

  async #session(sizes: HeadSizes, form: DenseForm): Promise<OrtSession | undefined> {
    const name = JSON.stringify([sizes, form]);
    if (!this.#sessions.has(name)) {
      const bytes = await groupQueryModel({ ...sizes, ...form, hasPast: true });
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
