// Caches as tensors: what a run gives as `present.*` and takes as `past_key_values.*` refers to a sequence of ours. Its numbers are copied
// out only when they are asked for.
import { OnnxError } from '../errors.ts';
import type { AttentionSite, Axis } from '../graph/site.ts';
import type { KeysAndValues } from '../runtime/backend.ts';
import type { OrtTensor, TensorClass } from '../runtime/ort.ts';
import { halves } from './tensors.ts';
import type { Sequence } from './sequence.ts';

/** A sequence as it was after a call. */
export class Snapshot {
  readonly sequence: Sequence;
  readonly columns: number;
  /** By attention: rows of the caller's buffer, and how many of them hold tokens, where it has a size of its own. */
  readonly buffers: readonly ({ readonly rows: number; readonly filled: number } | undefined)[];
  #tensors = 0;

  constructor(sequence: Sequence, buffers: Snapshot['buffers']) {
    this.sequence = sequence;
    this.columns = sequence.columns;
    this.buffers = buffers;
  }

  hold(): void {
    if (this.#tensors++ === 0) this.sequence.hold();
  }

  release(): void {
    if (--this.#tensors === 0) this.sequence.release();
  }
}

/** What a cache tensor stands for. */
interface Handle {
  readonly snapshot: Snapshot;
  readonly owner: object;
  isDisposed: boolean;
}

const handles = new WeakMap<object, Handle>();
/** Tensors that were dropped without `dispose()`. */
const dropped = new FinalizationRegistry<Handle>((handle) => release(handle));

function release(handle: Handle): void {
  if (handle.isDisposed) return;
  handle.isDisposed = true;
  handle.snapshot.release();
}

/** The snapshot that a tensor stands for; undefined for a tensor of numbers. @throws OnnxError `invalid-option` for a disposed one */
export function snapshotOf(tensor: OrtTensor, owner: object, name: string): Snapshot | undefined {
  const handle = handles.get(tensor);
  if (!handle) return undefined;
  if (handle.owner !== owner) {
    const message = `${name} is the cache of another session: give what this session's runs gave, or an empty tensor`;
    throw new OnnxError('invalid-option', message, { name });
  }
  if (handle.isDisposed || handle.snapshot.sequence.isDisposed) {
    const message = `${name} is a cache that was disposed: begin again with empty tensors`;
    throw new OnnxError('invalid-option', message, { name });
  }
  return handle.snapshot;
}

/** What a cache tensor shows. */
export interface HandleForm {
  /** float32 or float16. */
  readonly type: string;
  readonly site: AttentionSite;
  readonly layer: number;
  readonly part: 'key' | 'value' | 'both';
  readonly heads: number;
  /** Without channels of a sink. */
  readonly channels: number;
  /** Channels in the cache. */
  readonly stored: number;
  /** Rows that the tensor has: columns, or the caller's buffer's. */
  readonly rows: number;
}

/**
 * A tensor that stands for keys or values. It says it is on a device, so that whoever keeps caches disposes of it; its data is there all
 * the same.
 */
export function cacheTensor(Tensor: TensorClass, snapshot: Snapshot, owner: object, form: HandleForm): OrtTensor {
  const { site, part, heads, channels, rows, type, layer } = form;
  const sizes: Readonly<Record<Axis, number>> = { B: snapshot.sequence.batch, S: rows, H: heads, D: channels };
  const dims = [...(part === 'both' ? [2] : []), ...site.cacheAxes.map((axis) => sizes[axis])];
  const handle: Handle = { snapshot, owner, isDisposed: false };
  const check = (): void => {
    if (handle.isDisposed || snapshot.sequence.isDisposed)
      throw new OnnxError('invalid-option', 'this cache was disposed', {});
  };
  const numbers = (texts: readonly KeysAndValues[]) => typed(type, arranged(snapshot, form, sizes, texts));
  const caches = () => {
    check();
    const own = snapshot.sequence.layers[layer]!;
    return own.map((cache, text) => ({ cache, tokens: snapshot.sequence.tokensIn(text, snapshot.columns) }));
  };
  const tensor = Tensor.fromGpuBuffer(
    {},
    {
      dataType: type,
      dims,
      download: async () => numbers(await Promise.all(caches().map(({ cache, tokens }) => cache.read(tokens)))),
      dispose: () => {
        dropped.unregister(handle);
        release(handle);
      },
    },
  );
  Object.defineProperties(tensor, {
    data: {
      get: () => {
        const all = caches();
        if (all.some(({ cache }) => !cache.readNow)) {
          throw new OnnxError('unsupported', 'this cache is on the GPU: await getData()', {});
        }
        return numbers(all.map(({ cache, tokens }) => cache.readNow!(tokens)));
      },
    },
    getData: { value: async () => numbers(await Promise.all(caches().map(({ cache, tokens }) => cache.read(tokens)))) },
  });
  snapshot.hold();
  handles.set(tensor, handle);
  dropped.register(tensor, handle, handle);
  return tensor;
}

function typed(type: string, floats: Float32Array): Float32Array | Uint16Array {
  return type === 'float16' ? halves(floats) : floats;
}

/** From [tokens, heads, channels] of each text to the tensor's order; rows of padding are 0. */
function arranged(
  snapshot: Snapshot,
  { site, layer, part, heads, channels, stored, rows }: HandleForm,
  sizes: Readonly<Record<Axis, number>>,
  texts: readonly KeysAndValues[],
): Float32Array {
  const { columns, sequence } = snapshot;
  const size = sizes.B * rows * heads * channels;
  const output = new Float32Array(part === 'both' ? 2 * size : size);
  const strides = stridesOf(site.cacheAxes, sizes);
  // A buffer of a size of its own holds the newest tokens.
  const held = snapshot.buffers[layer]?.filled ?? columns;
  const parts = part === 'both' ? (['key', 'value'] as const) : ([part] as const);
  for (const [index, each] of parts.entries()) {
    for (const [text, { k, v }] of texts.entries()) {
      const source = each === 'key' ? k : v;
      let token = sequence.tokensIn(text, columns - held);
      for (let row = 0; row < held; row++) {
        if (!sequence.isToken(text, columns - held + row)) continue;
        for (let head = 0; head < heads; head++) {
          const from = (token * heads + head) * stored;
          const to = index * size + text * strides.B + row * strides.S + head * strides.H;
          for (let c = 0; c < channels; c++) output[to + c * strides.D] = source[from + c]!;
        }
        token++;
      }
    }
  }
  return output;
}

function stridesOf(axes: readonly Axis[], sizes: Readonly<Record<Axis, number>>): Record<Axis, number> {
  const strides: Record<Axis, number> = { B: 0, S: 0, H: 0, D: 0 };
  let stride = 1;
  for (const axis of axes.toReversed()) {
    strides[axis] = stride;
    stride *= sizes[axis];
  }
  return strides;
}

/** The first rows of a cache of numbers, [tokens, heads, channels] of each text, its padding left out. */
export function importedTokens(
  site: AttentionSite,
  source: { readonly floats: Float32Array; readonly dims: readonly number[] },
  {
    rows,
    stored,
    isToken,
  }: { readonly rows: number; readonly stored: number; readonly isToken: (text: number, column: number) => boolean },
): readonly Float32Array[] {
  const sizes = Object.fromEntries(site.cacheAxes.map((axis, i) => [axis, source.dims[i]!])) as Record<Axis, number>;
  const strides = stridesOf(site.cacheAxes, sizes);
  return Array.from({ length: sizes.B }, (_, text) => {
    const columns = Array.from({ length: rows }, (_, row) => row).filter((row) => isToken(text, row));
    const output = new Float32Array(columns.length * sizes.H * stored);
    for (const [token, row] of columns.entries()) {
      for (let head = 0; head < sizes.H; head++) {
        const from = text * strides.B + row * strides.S + head * strides.H;
        const to = (token * sizes.H + head) * stored;
        for (let c = 0; c < sizes.D; c++) output[to + c] = source.floats[from + c * strides.D]!;
      }
    }
    return output;
  });
}
