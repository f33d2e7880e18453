// A decoder's products, bound once for so many rows: what lies around each layer's attention.
import { GpuCall, type GpuContext, type PreparedCall } from '@hip/kernels-webgpu';
import type { Activations } from './activations.ts';
import type { GpuDecoder } from './decoder.ts';

/** Bound parts of a pass through the layers. */
export interface Body {
  readonly embed: PreparedCall;
  /** By layer. */
  readonly before: readonly PreparedCall[];
  readonly after: readonly PreparedCall[];
}

/** Buffers that the parts of bodies use one after another. */
class Arena {
  readonly #buffers: GPUBuffer[] = [];

  /** A scratch buffer that `taken` does not hold yet. */
  take(call: GpuCall, bytes: number, label: string, taken: ReadonlySet<GPUBuffer>): GPUBuffer {
    const found = this.#buffers.find((buffer) => buffer.size >= bytes && !taken.has(buffer));
    if (found) return found;
    const made = call.context.pool.take(bytes, 0x80 | 0x08 | 0x04, label); // STORAGE | COPY_DST | COPY_SRC
    this.#buffers.push(made);
    return made;
  }
}

/** A call whose scratch is an arena's: parts that run one after another hand nothing on in it. */
class PartCall extends GpuCall {
  readonly #arena: Arena;
  readonly #taken = new Set<GPUBuffer>();

  constructor(context: GpuContext, arena: Arena) {
    super(context);
    this.#arena = arena;
  }

  override scratch(bytes: number, label: string): GPUBuffer {
    const buffer = this.#arena.take(this, bytes, label, this.#taken);
    this.#taken.add(buffer);
    return buffer;
  }
}

/** Fewer rows are encoded anew. */
const COMMON_ROWS = 512;

export class Bodies {
  readonly #context: GpuContext;
  readonly #decoder: GpuDecoder;
  readonly #layers: number;
  readonly #arena = new Arena();
  readonly #bodies = new Map<Activations, Map<number, Body>>();

  constructor(context: GpuContext, decoder: GpuDecoder, layers: number) {
    this.#context = context;
    this.#decoder = decoder;
    this.#layers = layers;
  }

  /** The parts of a chunk of so many rows, where they come again and again: whole chunks, and powers of two. */
  often(activations: Activations, rows: number): Body | undefined {
    const isCommon = rows === activations.rows || (rows >= COMMON_ROWS && Number.isInteger(Math.log2(rows)));
    return isCommon ? this.of(activations, rows) : undefined;
  }

  /** The parts for `rows` rows of some activations; the same every time. */
  of(activations: Activations, rows: number): Body {
    let bodies = this.#bodies.get(activations);
    if (!bodies) this.#bodies.set(activations, (bodies = new Map()));
    let body = bodies.get(rows);
    if (!body) bodies.set(rows, (body = this.#make(activations, rows)));
    return body;
  }

  #make(activations: Activations, rows: number): Body {
    const decoder = this.#decoder;
    const part = (add: (call: GpuCall) => void): PreparedCall => {
      using call = new PartCall(this.#context, this.#arena);
      add(call);
      return call.prepare();
    };
    const layers = Array.from({ length: this.#layers }, (_, layer) => layer);
    return {
      embed: part((call) => decoder.embed(call, activations, rows)),
      before: layers.map((layer) => part((call) => decoder.before(call, activations, layer, rows))),
      after: layers.map((layer) => part((call) => decoder.after(call, activations, layer, rows))),
    };
  }
}
