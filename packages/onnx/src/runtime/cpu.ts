// Attention on the CPU, between pieces on onnxruntime-node or onnxruntime-web's wasm: kernels-cpu's caches, one a layer and text.
import { createCpuRuntime, type CpuRuntime, type KeyValueCache } from '@hip/kernels-cpu';
import { attentionParts, DENSE_BELOW, denseMask, partRows, type LayerRule, type RowsPart } from '@hip/mask-search';
import { SINK_CHANNELS } from '../cut/adapt.ts';
import { planLayer, type AttentionOptions } from './attention-options.ts';
import {
  scaleOf,
  type AttentionBackend,
  type CutTensors,
  type HeadSizes,
  type KeysAndValues,
  type LayerCache,
  type LayerForm,
  type Span,
} from './backend.ts';
import { DenseAttention } from './cpu-dense.ts';
import { isNative, tensorClass, type Ort, type OrtSessionOptions, type OrtTensor } from './ort.ts';

/** Options of {@link createCpuBackend}. */
export interface CpuBackendOptions extends AttentionOptions {
  readonly cache: 'f16' | 'f32';
  readonly threads?: number | undefined;
  /** Tokens of a prompt that run at once; 0: all. @defaultValue 2048 */
  readonly partTokens?: number | undefined;
  /** Options of onnxruntime's sessions. */
  readonly sessionOptions?: OrtSessionOptions | undefined;
}

/** @throws HipError `out-of-memory` */
export async function createCpuBackend(ort: Ort, options: CpuBackendOptions): Promise<AttentionBackend> {
  const cpu = await createCpuRuntime({ threads: options.threads ?? 'auto' });
  return new CpuBackend(ort, cpu, options);
}

/**
 * onnxruntime's threads spin after a run, on the processors that attention's threads are woken on: a token of 30 layers then takes eight
 * times as long on two threads.
 */
function restingThreads(extra: unknown): object {
  const given = Object(extra) as { readonly session?: { readonly intra_op?: object } };
  const { session } = given;
  return { ...given, session: { ...session, intra_op: { allow_spinning: '0', ...session?.intra_op } } };
}

/** Pieces of four layers of SmolLM2 took a fifth less of a processor's time for 8,192 tokens than all at once, and a third less memory. */
const PART_TOKENS = 2048;

class CpuBackend implements AttentionBackend {
  readonly io = 'float';
  readonly partTokens: number;
  readonly #ort: Ort;
  readonly #cpu: CpuRuntime;
  readonly #options: CpuBackendOptions;
  /** Where the runtime's own is the faster one. */
  readonly #dense: DenseAttention | undefined;

  constructor(ort: Ort, cpu: CpuRuntime, options: CpuBackendOptions) {
    this.#ort = ort;
    this.#cpu = cpu;
    this.#options = options;
    this.partTokens = options.partTokens ?? PART_TOKENS;
    if (isNative(ort)) this.#dense = new DenseAttention(ort, this.pieceOptions());
  }

  pieceOptions(): OrtSessionOptions {
    const { sessionOptions } = this.#options;
    return { logSeverityLevel: 3, ...sessionOptions, extra: restingThreads(sessionOptions?.['extra']) };
  }

  createLayer(form: LayerForm, sizes: HeadSizes): LayerCache {
    const rule = planLayer(this.#options, this.#dense ? DENSE_BELOW.native : DENSE_BELOW.wasm, {
      ...form,
      headDim: sizes.headDim,
    });
    const { softcap } = form;
    const scale = scaleOf(form, sizes);
    const cache = this.#cpu.createCache({
      ...sizes,
      type: this.#options.cache,
      config: rule.config ?? {},
      ...(scale !== undefined && { scale }),
      ...(softcap > 0 && { softcap }),
    });
    const layer = new CpuLayer(cache, { rule, form, sizes, dense: this.#dense });
    if (form.hasSink) layer.appendSink();
    return layer;
  }

  async attend(
    caches: readonly LayerCache[],
    { q, k, v }: CutTensors,
    spans: readonly (readonly Span[])[],
  ): Promise<OrtTensor> {
    const { dims } = q;
    const tokens = dims[1]!;
    const [queries, keys, values] = [q, k, v].map(({ tensor }) => tensor.data as Float32Array);
    const Tensor = tensorClass(this.#ort);
    const [only] = spans[0]!;
    if (spans.length === 1 && only?.count === tokens) {
      const layer = caches[0] as CpuLayer;
      return new Tensor('float32', await layer.step(queries!, keys!, values!, only), dims);
    }
    const output = new Float32Array(queries!.length);
    for (const [row, rowSpans] of spans.entries()) {
      const layer = caches[row] as CpuLayer;
      for (const span of rowSpans) {
        const { first, count } = span;
        const part = (array: Float32Array) => {
          const size = array.length / (spans.length * tokens);
          const start = (row * tokens + first) * size;
          return array.subarray(start, start + count * size);
        };
        part(output).set(await layer.step(part(queries!), part(keys!), part(values!), span));
      }
    }
    return new Tensor('float32', output, dims);
  }

  [Symbol.dispose](): void {
    this.#dense?.[Symbol.dispose]();
    this.#cpu.close();
  }
}

/** What a layer is made by. */
interface CpuLayerParts {
  readonly rule: LayerRule;
  readonly form: LayerForm;
  readonly sizes: HeadSizes;
  readonly dense: DenseAttention | undefined;
}

class CpuLayer implements LayerCache {
  readonly #cache: KeyValueCache;
  readonly #parts: CpuLayerParts;

  constructor(cache: KeyValueCache, parts: CpuLayerParts) {
    this.#cache = cache;
    this.#parts = parts;
  }

  get #sinks(): number {
    return this.#parts.form.hasSink ? 1 : 0;
  }

  get length(): number {
    return this.#cache.length - this.#sinks;
  }

  get bytes(): number {
    return this.#cache.bytes;
  }

  /** The key that stands for the sinks, see `cut/adapt.ts`. */
  appendSink(): void {
    const { kvHeads, headDim } = this.#parts.sizes;
    const key = new Float32Array(kvHeads * headDim);
    for (let head = 0; head < kvHeads; head++) key[(head + 1) * headDim - SINK_CHANNELS] = 1;
    this.#cache.append(key, new Float32Array(key.length));
  }

  append({ k, v }: KeysAndValues): void {
    this.#cache.append(k, v);
  }

  /** Appends and attends. @param place - of the rows in their call */
  async step(q: Float32Array, k: Float32Array, v: Float32Array, place: Span): Promise<Float32Array> {
    const { rule, sizes } = this.#parts;
    const rows = q.length / (sizes.heads * sizes.headDim);
    const { call, after } = place;
    const parts = attentionParts(rule, { rows, keys: this.length + rows, call, after });
    if (parts.length === 1) return this.#attend(parts[0]!, q, { k, v });
    const out = new Float32Array(q.length);
    for (const part of partRows(parts, sizes, { q, k, v, out })) part.out.set(await this.#attend(part, part.q, part));
    return out;
  }

  async #attend({ rows: queries, kind }: RowsPart, q: Float32Array, { k, v }: KeysAndValues): Promise<Float32Array> {
    const cache = this.#cache;
    cache.append(k, v);
    const { rule, sizes } = this.#parts;
    const { heads, kvHeads, headDim } = sizes;
    const keys = cache.length;
    const { window } = rule;
    switch (kind) {
      case 'window': {
        const mask = denseMask({ batch: 1, queries, keys, heads, kvHeads, headDim }, true);
        return cache.attendMasked(q, { ...mask, window, sink: this.#sinks });
      }
      case 'dense':
        return queries === 1 ? cache.attendDense(q) : this.#attendDense(q, { k, v });
      case 'hip':
        return queries === 1 ? cache.decode(q) : (await cache.attendAsync(q)).output;
    }
  }

  /** Of the rows appended last. */
  async #attendDense(q: Float32Array, { k, v }: KeysAndValues): Promise<Float32Array> {
    const { form, sizes, dense } = this.#parts;
    const past = (): KeysAndValues => {
      const all = this.#cache.read();
      return { k: all.k.subarray(0, all.k.length - k.length), v: all.v.subarray(0, all.v.length - v.length) };
    };
    const score = { scale: scaleOf(form, sizes), softcap: form.softcap };
    return (await dense?.attend(sizes, score, { q, k, v, past })) ?? this.#cache.attendDenseAsync(q);
  }

  truncate(length: number): void {
    this.#cache.truncate(length + this.#sinks);
  }

  fork(length: number): LayerCache {
    const fork = new CpuLayer(this.#cache.fork(), this.#parts);
    fork.truncate(length);
    return fork;
  }

  async read(length: number): Promise<KeysAndValues> {
    return this.readNow(length);
  }

  readNow(length: number): KeysAndValues {
    const { kvHeads, headDim } = this.#parts.sizes;
    const { k, v } = this.#cache.read();
    const row = kvHeads * headDim;
    const first = this.#sinks * row;
    return { k: k.subarray(first, first + length * row), v: v.subarray(first, first + length * row) };
  }

  [Symbol.dispose](): void {
    this.#cache.dispose();
  }
}
