// A decoder's weights in WebAssembly memory: read tensor by tensor, blocks as they are stored; vectors as float32.
import {
  dequantize,
  decodeTensor,
  encodeFloats,
  rawSlotInfo,
  readRawSlot,
  readSlots,
  weightSlots,
  type GgufDtype,
  type OpenCheckpoint,
  type RawSlot,
  type RawSlotInfo,
  type WeightSlot,
} from '@hip/checkpoints';
import type { Activation, CpuRuntime, StoredMatrix, WeightType } from '@hip/kernels-cpu';
import { LlmError, throwIfAborted } from '../errors.ts';
import { toQ4, toQ8 } from './quantize.ts';
import { isFloat, weightBytes, weightType } from './weight-types.ts';
import type { EngineOptions, WeightChoice } from './types.ts';

/** Bytes of a matrix that are converted at a time. */
const PIECE_BYTES = 4 * 2 ** 20;

/** Every weight under its canonical name. */
export interface DecoderWeights extends Disposable {
  readonly bytes: number;
  matrix(name: string): StoredMatrix;
  /** A norm's weight or a bias; undefined where the model has none. */
  vector(name: string): Activation | undefined;
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

/** Types and bytes of all matrices, and the vectors; nothing is read but headers. */
export async function planWeights(
  checkpoint: OpenCheckpoint,
  choice: WeightChoice,
): Promise<{
  readonly matrices: readonly MatrixPlan[];
  readonly vectors: readonly WeightSlot[];
  readonly bytes: number;
}> {
  const slots = weightSlots(checkpoint.config);
  const vectors = slots.filter((slot) => !isMatrix(slot));
  const matrices: MatrixPlan[] = [];
  for (const slot of slots.filter(isMatrix)) {
    const info = await rawSlotInfo(checkpoint, slot);
    const type = weightType(info, choice);
    matrices.push({
      info,
      type,
      bytes: weightBytes(
        type,
        info.shape.reduce((product, extent) => product * extent, 1),
      ),
    });
  }
  const floats = vectors.reduce((sum, { shape }) => sum + (shape[0] ?? 1), 0);
  return { matrices, vectors, bytes: matrices.reduce((sum, { bytes }) => sum + bytes, 4 * floats) };
}

/**
 * Reads all weights.
 *
 * @throws CheckpointError what reading throws; LlmError `unsupported-model`, `aborted`; HipError `out-of-memory`. Nothing is left behind
 */
export async function loadWeights(
  cpu: CpuRuntime,
  checkpoint: OpenCheckpoint,
  { weights: choice, signal, onProgress }: EngineOptions & { readonly weights: WeightChoice },
): Promise<DecoderWeights> {
  const { matrices: planned, vectors: slots, bytes } = await planWeights(checkpoint, choice);
  const matrices = new Map<string, StoredMatrix>();
  const vectors = new Map<string, Activation>();
  const dispose = () => {
    for (const weight of [...matrices.values(), ...vectors.values()]) weight.dispose();
  };
  try {
    const offset = checkpoint.config.norm.offset ?? 0;
    let loaded = 0;
    for (const [name, values] of await readSlots(checkpoint, slots, { signal })) {
      const vector = cpu.createActivation(values.length);
      vectors.set(name, vector);
      const isNorm = /[nN]orm\.weight$/.test(name);
      vector.view.set(isNorm && offset !== 0 ? values.map((value) => value + offset) : values);
      loaded += 4 * values.length;
    }
    for (const { info, type, bytes: own } of planned) {
      throwIfAborted(signal, 'loading the weights');
      const [rows = 1, columns = 1] = info.shape;
      const matrix = cpu.createMatrix({ type, rows, columns });
      matrices.set(info.slot.name, matrix);
      write(matrix, await readRawSlot(checkpoint, info.slot));
      onProgress?.({ loaded: (loaded += own), total: bytes });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return {
    bytes,
    matrix: (name) => {
      const found = matrices.get(name);
      if (!found) throw new LlmError('internal', `no weight ${name} was loaded`, { name });
      return found;
    },
    vector: (name) => vectors.get(name),
    [Symbol.dispose]: dispose,
  };
}

/** As stored, or converted, some rows at a time. */
function write(matrix: StoredMatrix, { slot, dtype, bytes, shape }: RawSlot): void {
  if (matrix.type === dtype) {
    matrix.write(0, bytes);
    return;
  }
  const [rows = 1, columns = 1] = shape;
  const rowBytes = bytes.byteLength / rows;
  const step = Math.max(1, Math.floor(PIECE_BYTES / (4 * columns)));
  for (let row = 0; row < rows; row += step) {
    const piece = bytes.slice(row * rowBytes, Math.min(rows, row + step) * rowBytes);
    const values = isFloat(dtype) ? decodeTensor(piece, dtype, slot.name) : dequantize(piece, dtype as GgufDtype);
    matrix.write(row, encode(values as Float32Array, matrix.type));
  }
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
