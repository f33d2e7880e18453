// The weights of a graph: values of slots, read one by one as the model is written, as floats or as codes.
import { floatsToHalves, halvesToFloats } from '@hip/checkpoints/platform';
import { weightSlots, requireStorable, type ModelConfig, type WeightSlot } from '@hip/checkpoints';
import type { OnnxWeight } from '@hip/onnx/model';
import { SupernetError, throwIfAborted } from '../../errors.ts';
import { requireFinite } from '../../model/finite.ts';
import { floatBytes, type OnnxGraph } from './graph.ts';
import type { WeightFormat } from './options.ts';
import { dequantizeBlocks, needsMinima, quantizeBlocks, quantizeByteBlocks, type BlockCodes } from './blocks.ts';
import { dequantizeBytes, quantizeBytes, type ByteCodes, type Matrix } from './quantize.ts';

/** Values of a slot, in its shape: linear weights [in, out]. */
export type ReadSlot = (slot: WeightSlot) => Promise<Float32Array>;

/** The token table's slot. */
export const TABLE = 'embeddings.token.weight';

/** How a weight is coded. */
export type Coding = 'bytes' | 'blocks of 4' | 'blocks of 8';

/** Slots whose weight is multiplied by activations, and so can be codes. */
const MATRICES = new Set<WeightSlot['role']>(['linear', 'head']);

/** The weights of a model that is exported. */
export class ExportWeights {
  readonly format: WeightFormat;
  readonly #config: ModelConfig;
  readonly #slots: ReadonlyMap<string, WeightSlot>;
  readonly #read: ReadSlot;
  readonly #withMinima = new Set<string>();
  /** What was made last: the codes and scales of a weight stand beside each other in the file. */
  #made: { readonly key: string; readonly value: Promise<unknown> } | undefined;

  constructor(config: ModelConfig, format: WeightFormat, read: ReadSlot) {
    this.format = format;
    this.#config = config;
    this.#slots = new Map(weightSlots(config).map((slot) => [slot.name, slot]));
    this.#read = read;
  }

  /** True when the model has this weight. */
  has(name: string): boolean {
    return this.#slots.has(name);
  }

  slot(name: string): WeightSlot {
    const slot = this.#slots.get(name);
    if (slot) return slot;
    throw new SupernetError('internal', `${this.#config.family} has no weight ${name}`, { name });
  }

  /** How a weight is coded: a scale for each output, or for each block of 4 or 8 bits; undefined where it stays float. */
  codingOf(name: string): Coding | undefined {
    const { role, shape } = this.slot(name);
    const { keep, tableBits, blockSize } = this.format;
    if (this.format.bits === undefined || shape.length !== 2 || keep(name)) return undefined;
    if (name !== TABLE && (!MATRICES.has(role) || name === 'embeddings.patch.weight')) return undefined;
    const isTable = name === TABLE || role === 'head';
    if (name === TABLE && tableBits === undefined) return undefined;
    const own = this.format.bitsOf(name);
    if ((own ?? this.format.bits) === 8) return 'bytes';
    // Rows of the table are looked up in whole blocks.
    if (name === TABLE && (shape[1] as number) % blockSize !== 0) return undefined;
    return isTable && own === undefined && tableBits === 8 ? 'blocks of 8' : 'blocks of 4';
  }

  /** Whether a weight's blocks have a float besides their scale. */
  hasMinima(name: string): boolean {
    const { minima } = this.format;
    if (this.codingOf(name) !== 'blocks of 4' || name === TABLE) return false;
    return minima === 'auto' ? this.#withMinima.has(name) : minima;
  }

  /** Finds out which weights `auto` gives minima: reads each that is to have 4 bits. */
  async findMinima(signal?: AbortSignal): Promise<void> {
    if (this.format.minima !== 'auto' || this.format.bits === undefined) return;
    for (const name of this.#slots.keys()) {
      if (this.codingOf(name) !== 'blocks of 4' || name === TABLE) continue;
      throwIfAborted(signal, 'exportOnnx');
      const matrix = { ...this.matrixOf(name), values: await this.values(name) };
      if (needsMinima(matrix, this.format.blockSize)) this.#withMinima.add(name);
    }
  }

  /** Puts a float weight into the graph. @param change - applied to its values; `type` and `shape` where they are others */
  float(
    graph: OnnxGraph,
    name: string,
    {
      change = (values) => values,
      shape = this.slot(name).shape,
      type = graph.type,
    }: {
      readonly change?: ((values: Float32Array) => Float32Array) | undefined;
      readonly shape?: readonly number[];
      readonly type?: 'float' | 'float16';
    } = {},
  ): string {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const elements = lazy(size * (type === 'float' ? 4 : 2), () =>
      this.#once(`${name}:float`, async () => {
        const values = change(await this.values(name));
        if (type === 'float16') requireStorable(name, values, 'F16');
        return floatBytes(values, type);
      }),
    );
    return graph.weight(name, type, shape, elements);
  }

  /** Finite values of a slot. @throws SupernetError `non-finite` */
  async values(name: string): Promise<Float32Array> {
    const values = await this.#read(this.slot(name));
    requireFinite(name, values);
    return values;
  }

  /** A slot as a matrix from inputs to outputs; of the token embeddings as the output's. */
  matrixOf(name: string): Omit<Matrix, 'values'> {
    const [rows = 1, columns = 1] = this.slot(name).shape;
    return name === TABLE
      ? { inputs: columns, outputs: rows, inputStride: 1, outputStride: columns }
      : { inputs: rows, outputs: columns, inputStride: columns, outputStride: 1 };
  }

  bytes(name: string): Promise<ByteCodes> {
    return this.#once(`${name}:8`, async () =>
      quantizeBytes({ ...this.matrixOf(name), values: await this.values(name) }),
    );
  }

  blocks(name: string): Promise<BlockCodes> {
    const { blockSize, symmetric, float } = this.format;
    return this.#once(`${name}:blocks`, async () => {
      const matrix = { ...this.matrixOf(name), values: await this.values(name) };
      const codes =
        this.codingOf(name) === 'blocks of 8'
          ? quantizeByteBlocks(matrix, { blockSize, type: float })
          : quantizeBlocks(matrix, { blockSize, symmetric, minima: this.hasMinima(name), type: float });
      if (float === 'float16') requireStorable(name, codes.scales, 'F16');
      return codes;
    });
  }

  /** The values that the graph computes with: those of the codes, where there are codes. */
  async stored(name: string): Promise<Float32Array> {
    const coding = this.codingOf(name);
    if (coding === 'bytes') return dequantizeBytes(await this.bytes(name), this.matrixOf(name));
    if (coding) return dequantizeBlocks(await this.blocks(name), this.matrixOf(name), this.format.blockSize);
    const values = await this.values(name);
    return this.format.float === 'float' ? values : halvesToFloats(floatsToHalves(values).buffer, 0, values.length);
  }

  #once<T>(key: string, make: () => Promise<T>): Promise<T> {
    if (this.#made?.key !== key) this.#made = { key, value: make() };
    return this.#made.value as Promise<T>;
  }
}

/** A weight whose bytes are made when they are read. */
export function lazy(byteLength: number, make: () => Promise<Uint8Array>): OnnxWeight {
  return {
    byteLength,
    read: async (offset = 0, length = byteLength - offset) => (await make()).subarray(offset, offset + length),
  };
}
