// Attention on WebGPU, between pieces on onnxruntime-web's WebGPU: one device, tensors stay on it.
import { contextOf, SharedScratch, type ElementType, type GpuContext, type GpuTensor } from '@hip/kernels-webgpu';
import { DENSE_BELOW } from '@hip/mask-search';
import { OnnxError } from '../errors.ts';
import type { IoType } from '../cut/chain.ts';
import { planLayer, type AttentionOptions } from './attention-options.ts';
import type {
  AttentionBackend,
  CapturedPiece,
  CutTensors,
  HeadSizes,
  HeadTensor,
  LayerCache,
  LayerForm,
  Span,
} from './backend.ts';
import { tensorClass, type Ort, type OrtSessionOptions, type OrtTensor } from './ort.ts';
import { SpareBuffers } from './webgpu-buffers.ts';
import { AS_IT_COMES, captures, REPLAY, withCapture } from './webgpu-capture.ts';
import { sharedDevice } from './webgpu-device.ts';
import { replaysTell } from './webgpu-trial.ts';
import { GpuLayer } from './webgpu-layer.ts';
import { LayerPages } from './webgpu-pages.ts';

/** Options of {@link createWebgpuBackend}. */
export interface WebgpuBackendOptions extends AttentionOptions {
  /** How keys, values and the tensors around attention are stored. */
  readonly type: ElementType;
  readonly gpuDevice?: GPUDevice | undefined;
  readonly maxTokens?: number | undefined;
  readonly offload?: number | undefined;
  readonly sessionOptions?: OrtSessionOptions | undefined;
}

/** @throws OnnxError `unsupported` without WebGPU */
export async function createWebgpuBackend(ort: Ort, options: WebgpuBackendOptions): Promise<AttentionBackend> {
  return new WebgpuBackend(ort, contextOf(await sharedDevice(ort, options.gpuDevice)), options);
}

/** The provider's checks of its own programs, WebGPU's own aside, are a third of a captured token's time. */
const UNCHECKED = { validationMode: 'disabled' };

/** What the caller says of the WebGPU provider: `validationMode`, sizes of caches of buffers. */
function providerOptions(options: OrtSessionOptions | undefined): object {
  const providers: unknown = options?.['executionProviders'];
  const isWebgpu = (each: unknown): each is object =>
    Object(each) === each && (each as { name?: unknown }).name === 'webgpu';
  return (Array.isArray(providers) ? providers.find(isWebgpu) : undefined) ?? {};
}

const NUMBER_BYTES: Readonly<Record<string, number>> = { float16: 2, float32: 4, int64: 8 };

/** Spans of at most so many rows. */
function parted(spans: readonly Span[], most: number): { readonly first: number; readonly rows: number }[] {
  return spans.flatMap(({ first, count }) => {
    const parts: { first: number; rows: number }[] = [];
    for (let at = 0; at < count; at += most) parts.push({ first: first + at, rows: Math.min(most, count - at) });
    return parts;
  });
}

class WebgpuBackend implements AttentionBackend {
  readonly io: IoType;
  readonly #ort: Ort;
  readonly #context: GpuContext;
  readonly #options: WebgpuBackendOptions;
  readonly #scratch: SharedScratch;
  readonly #buffers: SpareBuffers;
  /** By layer. */
  readonly #pages = new Map<number, LayerPages>();

  constructor(ort: Ort, context: GpuContext, options: WebgpuBackendOptions) {
    this.#ort = ort;
    this.#context = context;
    this.#options = options;
    this.#scratch = new SharedScratch(context);
    this.#buffers = new SpareBuffers(context.device);
    this.io = options.type === 'f16' ? 'float16' : 'float';
  }

  pieceOptions(local: readonly string[], isCaptured = false): OrtSessionOptions {
    const { enableGraphCapture: _, ...sessionOptions } = this.#options.sessionOptions ?? {};
    const provider = { ...UNCHECKED, ...providerOptions(sessionOptions), name: 'webgpu', device: this.#context.device };
    const options = {
      logSeverityLevel: 3,
      ...sessionOptions,
      executionProviders: [provider],
      preferredOutputLocation: Object.fromEntries(local.map((name) => [name, 'gpu-buffer'])),
    };
    return isCaptured ? withCapture(options) : options;
  }

  async canCapture(): Promise<boolean> {
    if (this.#options.sessionOptions?.['enableGraphCapture'] === false) return false;
    return captures(this.#ort, this.#context.device);
  }

  tryReplays(piece: CapturedPiece): Promise<boolean> {
    return replaysTell(this.#context, piece, { replay: REPLAY, asItComes: AS_IT_COMES });
  }

  runOptions(isReplay: boolean): OrtSessionOptions {
    return isReplay ? REPLAY : AS_IT_COMES;
  }

  createLayer(form: LayerForm, sizes: HeadSizes, tokens: number): LayerCache {
    const { headDim } = sizes;
    if (headDim % 8 !== 0 || headDim > 512) {
      const message = `heads have ${headDim} channels: on WebGPU they are multiples of 8 up to 512; use device: 'cpu'`;
      throw new OnnxError('unsupported', message, { headDim });
    }
    const rule = planLayer(this.#options, DENSE_BELOW.webgpu, { ...form, headDim });
    const layer = GpuLayer.create(
      { context: this.#context, rule, form, sizes, scratch: this.#scratch, pages: this.#pagesOf(form, sizes) },
      tokens,
    );
    if (form.hasSink) layer.appendSink();
    return layer;
  }

  #pagesOf(form: LayerForm, sizes: HeadSizes): LayerPages {
    const known = this.#pages.get(form.layer);
    if (known) return known;
    const { type, maxTokens, offload } = this.#options;
    const pages = new LayerPages({
      context: this.#context,
      sizes,
      type,
      maxTokens: maxTokens === undefined ? undefined : maxTokens + (form.hasSink ? 1 : 0),
      // Windows with sinks read rows in order.
      offload: form.hasSink && form.window > 0 ? undefined : offload,
    });
    this.#pages.set(form.layer, pages);
    return pages;
  }

  pin(type: string, dims: readonly number[]): OrtTensor {
    const size = dims.reduce((product, dim) => product * dim, NUMBER_BYTES[type] ?? 4);
    return tensorClass(this.#ort).fromGpuBuffer(this.#buffers.pin(size), { dataType: type, dims, dispose: () => {} });
  }

  get #dataType(): string {
    return this.io === 'float16' ? 'float16' : 'float32';
  }

  async attend(
    caches: readonly LayerCache[],
    { q, k, v }: CutTensors,
    spans: readonly (readonly Span[])[],
    into?: OrtTensor,
  ): Promise<OrtTensor> {
    const { dims } = q;
    const tokens = dims[1]!;
    const count = (tensor: HeadTensor) => tensor.dims.reduce((product, dim) => product * dim, 1);
    const isWhole = spans.length === 1 && spans[0]![0]?.count === tokens;
    const bytes = this.#bytes(count(q));
    const output = (into?.gpuBuffer as GPUBuffer | undefined) ?? this.#buffers.take(bytes, !isWhole);
    try {
      const [queries, keys, values] = [q, k, v].map((each) =>
        this.#tensor(each.tensor.gpuBuffer as GPUBuffer, count(each)),
      );
      const out = this.#tensor(output, count(q));
      if (isWhole && tokens <= (caches[0] as GpuLayer).chunkTokens) {
        await (caches[0] as GpuLayer).step({ q: queries!, k: keys!, v: values!, out }, tokens);
      } else {
        for (const [row, rowSpans] of spans.entries()) {
          const layer = caches[row] as GpuLayer;
          for (const { first, rows } of parted(rowSpans, layer.chunkTokens)) {
            const place = { first: row * tokens + first, rows, all: spans.length * tokens };
            await this.#span(layer, { q: queries!, k: keys!, v: values!, out }, place);
          }
        }
      }
      // What the GPU refused of it is known now or at the next call.
      this.#context.assertAlive();
    } catch (error) {
      if (!into) this.#buffers.give(output, bytes);
      throw error;
    }
    if (into) return into;
    const Tensor = tensorClass(this.#ort);
    return Tensor.fromGpuBuffer(output, {
      dataType: this.#dataType,
      dims,
      dispose: () => this.#buffers.give(output, bytes),
    });
  }

  /** Some rows of a batch, through buffers of their own: bindings begin at multiples of 256 bytes. */
  async #span(
    layer: GpuLayer,
    tensors: { readonly q: GpuTensor; readonly k: GpuTensor; readonly v: GpuTensor; readonly out: GpuTensor },
    { first, rows, all }: { readonly first: number; readonly rows: number; readonly all: number },
  ): Promise<void> {
    const { device } = this.#context;
    const parts = Object.fromEntries(
      (['q', 'k', 'v', 'out'] as const).map((name) => {
        const length = (tensors[name].length / all) * rows;
        return [
          name,
          {
            tensor: this.#tensor(this.#buffers.take(this.#bytes(length), false), length),
            from: this.#bytes((tensors[name].length / all) * first),
          },
        ];
      }),
    ) as Record<'q' | 'k' | 'v' | 'out', { tensor: GpuTensor; from: number }>;
    const copy = (name: 'q' | 'k' | 'v' | 'out', isBack: boolean): void => {
      const { tensor, from } = parts[name];
      const encoder = device.createCommandEncoder();
      const bytes = this.#bytes(tensor.length);
      if (isBack) encoder.copyBufferToBuffer(tensor.buffer, 0, tensors[name].buffer, from, bytes);
      else encoder.copyBufferToBuffer(tensors[name].buffer, from, tensor.buffer, 0, bytes);
      device.queue.submit([encoder.finish()]);
    };
    try {
      for (const name of ['q', 'k', 'v'] as const) copy(name, false);
      await layer.step({ q: parts.q.tensor, k: parts.k.tensor, v: parts.v.tensor, out: parts.out.tensor }, rows);
      copy('out', true);
    } finally {
      for (const { tensor } of Object.values(parts)) this.#buffers.give(tensor.buffer, this.#bytes(tensor.length));
    }
  }

  #bytes(numbers: number): number {
    return numbers * (this.#options.type === 'f16' ? 2 : 4);
  }

  #tensor(buffer: GPUBuffer, length: number): GpuTensor {
    return { buffer, type: this.#options.type, length };
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
    for (const pages of this.#pages.values()) pages[Symbol.dispose]();
    this.#pages.clear();
    this.#buffers[Symbol.dispose]();
  }
}
