// A decoder's weights on any backend: what they will take, and how they are read, a piece of a tensor at a time.
import {
  decodeTensor,
  dequantize,
  encodeFloats,
  rawSlotInfo,
  readRawPieces,
  readSlots,
  weightSlots,
  type GgufDtype,
  type OpenCheckpoint,
  type RawSlotInfo,
  type RawSlotPiece,
  type WeightSlot,
} from '@hip/checkpoints';
import type { WeightType } from '@hip/kernels-cpu';
import { LlmError, throwIfAborted } from '../errors.ts';
import { toQ4, toQ8 } from './quantize.ts';
import type { EngineOptions, WeightChoice } from './types.ts';
import { Checksum } from '../saved/checksum.ts';
import { isFloat, weightBytes, weightType } from './weight-types.ts';

/** Bytes of a matrix that are read, and that are converted, at a time. */
const PIECE_BYTES = 8 * 2 ** 20;
const CONVERTED_BYTES = 4 * 2 ** 20;

/** Every weight under its canonical name: matrices M, vectors V. */
export interface DecoderWeights<M, V> extends Disposable {
  readonly bytes: number;
  /** Of the model's numbers, all values as their file has them, and the types in memory; known when all are read. */
  readonly fingerprint: string;
  matrix(name: string): M;
  /** A norm's weight or a bias; undefined where the model has none. */
  vector(name: string): V | undefined;
}

/** Where a backend puts weights. */
export interface WeightStore<M extends StoredRows, V extends WeightObject> {
  /** @throws HipError `out-of-memory` */
  createMatrix(shape: { readonly type: WeightType; readonly rows: number; readonly columns: number }): M;
  /** @throws HipError `out-of-memory` */
  createVector(values: Float32Array): V;
  /** Called when all memory is allocated, vectors are there and matrices are empty. */
  allocated?(weights: DecoderWeights<M, V>): Promise<void>;
  /** Called after each piece that was written. */
  written?(bytes: number): Promise<void>;
}

interface WeightObject {
  dispose(): void;
}

interface StoredRows extends WeightObject {
  readonly type: WeightType;
  write(firstRow: number, bytes: Uint8Array<ArrayBuffer>): void;
}

/** Matrices are multiplied or looked up in by row; the rest (norms, biases) is added or multiplied by element. */
export function isMatrix({ shape }: WeightSlot): boolean {
  return shape.length === 2;
}

/** What a matrix takes in memory. */
export interface MatrixPlan {
  readonly info: RawSlotInfo;
  readonly type: WeightType;
  readonly bytes: number;
}

/** Types and bytes of all matrices, and the vectors. */
export interface WeightsPlan {
  readonly matrices: readonly MatrixPlan[];
  readonly vectors: readonly WeightSlot[];
  readonly bytes: number;
}

/** Nothing is read but headers. */
export async function planWeights(checkpoint: OpenCheckpoint, choice: WeightChoice): Promise<WeightsPlan> {
  const slots = weightSlots(checkpoint.config);
  const vectors = slots.filter((slot) => !isMatrix(slot));
  const matrices: MatrixPlan[] = [];
  for (const slot of slots.filter(isMatrix)) {
    const info = await rawSlotInfo(checkpoint, slot);
    const type = weightType(info, choice);
    const elements = info.shape.reduce((product, extent) => product * extent, 1);
    matrices.push({ info, type, bytes: weightBytes(type, elements) });
  }
  const floats = vectors.reduce((sum, { shape }) => sum + (shape[0] ?? 1), 0);
  return { matrices, vectors, bytes: matrices.reduce((sum, { bytes }) => sum + bytes, 4 * floats) };
}

/**
 * Reads all weights into a store, piece by piece: the host holds one piece of one tensor at a time.
 *
 * @throws CheckpointError what reading throws; LlmError `unsupported-model`, `aborted`; HipError `out-of-memory`. Nothing is left behind
 */
export async function loadWeights<M extends StoredRows, V extends WeightObject>(
  store: WeightStore<M, V>,
  checkpoint: OpenCheckpoint,
  { weights: choice, signal, onProgress }: EngineOptions & { readonly weights: WeightChoice },
): Promise<DecoderWeights<M, V>> {
  const { matrices: planned, vectors: slots, bytes } = await planWeights(checkpoint, choice);
  const matrices = new Map<string, M>();
  const vectors = new Map<string, V>();
  const dispose = () => {
    for (const weight of [...matrices.values(), ...vectors.values()]) weight.dispose();
  };
  const { raw: _, ...meaning } = checkpoint.config;
  const sum = new Checksum().text(JSON.stringify(meaning));
  const weights: DecoderWeights<M, V> = {
    bytes,
    get fingerprint() {
      return sum.hex;
    },
    matrix: (name) => {
      const found = matrices.get(name);
      if (!found) throw new LlmError('internal', `no weight ${name} was loaded`, { name });
      return found;
    },
    vector: (name) => vectors.get(name),
    [Symbol.dispose]: dispose,
  };
  try {
    for (const { info, type } of planned) {
      const [rows = 1, columns = 1] = info.shape;
      matrices.set(info.slot.name, store.createMatrix({ type, rows, columns }));
    }
    const offset = checkpoint.config.norm.offset ?? 0;
    let loaded = 0;
    const read = await readSlots(checkpoint, slots, { signal });
    // In the order of slots, not in that of arrival: the fingerprint depends on it.
    for (const { name } of slots) {
      const values = read.get(name);
      if (!values) continue;
      const isNorm = /[nN]orm\.weight$/.test(name);
      const floats = isNorm && offset !== 0 ? values.map((value) => value + offset) : values;
      vectors.set(name, store.createVector(floats as Float32Array));
      sum.text(name).add(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      loaded += 4 * values.length;
    }
    await store.allocated?.(weights);
    // What is read for one piece serves for the next: a collector comes too late for hundreds of them.
    const into = new Uint8Array(PIECE_BYTES);
    const halvesInto = new Uint16Array(PIECE_BYTES / 2);
    for (const { info, type, bytes: own } of planned) {
      const [rows = 1] = info.shape;
      const matrix = matrices.get(info.slot.name) as M;
      const before = loaded;
      sum.text(`${info.slot.name} ${type}`);
      for await (const piece of readRawPieces(checkpoint, info.slot, { bytes: PIECE_BYTES, into })) {
        throwIfAborted(signal, 'loading the weights');
        write(matrix, piece, halvesInto);
        sum.add(piece.bytes);
        loaded = before + own * ((piece.firstRow + piece.rows) / rows);
        await store.written?.(piece.bytes.byteLength);
        onProgress?.({ loaded, total: bytes });
      }
    }
    return weights;
  } catch (error) {
    dispose();
    throw error;
  }
}

/** As stored, or converted, some rows at a time. @param room for float16 */
function write(
  matrix: StoredRows,
  { slot, dtype, bytes, shape, firstRow, rows }: RawSlotPiece,
  room: Uint16Array<ArrayBuffer>,
): void {
  if (matrix.type === dtype) {
    matrix.write(firstRow, bytes);
    return;
  }
  if (dtype === 'BF16' && matrix.type === 'F16') {
    matrix.write(firstRow, toHalves(bytes, room));
    return;
  }
  const columns = shape[1] ?? 1;
  const rowBytes = bytes.byteLength / rows;
  const step = Math.max(1, Math.floor(CONVERTED_BYTES / (4 * columns)));
  for (let row = 0; row < rows; row += step) {
    const piece = bytes.slice(row * rowBytes, Math.min(rows, row + step) * rowBytes);
    const values = isFloat(dtype) ? decodeTensor(piece, dtype, slot.name) : dequantize(piece, dtype as GgufDtype);
    matrix.write(firstRow + row, encode(values as Float32Array, matrix.type));
  }
}

let halves: Uint16Array | undefined;

/** bfloat16 as float16: every one of 65,536 numbers is rounded once. @param room where they may lie */
function toHalves(bytes: Uint8Array<ArrayBuffer>, room: Uint16Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (!halves) {
    const all = new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, i) => i).buffer);
    halves = new Uint16Array(encodeFloats(decodeTensor(all, 'BF16', 'all') as Float32Array, 'F16').buffer);
  }
  const whole = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const from = new Uint16Array(whole.buffer, whole.byteOffset, whole.byteLength / 2);
  const out = from.length <= room.length ? room.subarray(0, from.length) : new Uint16Array(from.length);
  for (let i = 0; i < from.length; i++) out[i] = halves[from[i] as number] as number;
  return new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
}

function encode(values: Float32Array, type: WeightType): Uint8Array<ArrayBuffer> {
  switch (type) {
    case 'F32':
    case 'F16':
    case 'BF16':
      return encodeFloats(values, type);
    case 'Q8_0':
      return toQ8(values);
    case 'Q4_1':
      return toQ4(values);
    default:
      throw new LlmError('internal', `weights are not converted to ${type}`, { type });
  }
}
