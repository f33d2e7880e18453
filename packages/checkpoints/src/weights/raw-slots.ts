// Weight slots as they are stored: blocks and elements untouched, rows in the slot's order, one row for each output.
import { CheckpointError } from '../errors.ts';
import type { TensorBinding } from '../families/family.ts';
import type { WeightSlot } from '../model/config.ts';
import { DTYPE_BYTES } from '../safetensors/dtypes.ts';
import { elementCount } from '../shape.ts';
import type { RawTensor, StoredDtype } from './raw.ts';
import type { SlotSource } from './read-slots.ts';
import { readSlots } from './read-slots.ts';
import { isWhole, takeRows } from './rows.ts';
import { storedShape } from './transforms.ts';

/** A slot's type and extent in its checkpoint. */
export interface RawSlotInfo {
  readonly slot: WeightSlot;
  readonly dtype: StoredDtype;
  /** [outputs, inputs] of a linear weight (the slot's shape turned over), [vocabulary, hidden] of an embedding, else the slot's shape. */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** A slot as it is stored. */
export interface RawSlot extends RawSlotInfo {
  /** Row after row; of block types every row is a whole number of blocks. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Some rows of a slot as they are stored. */
export interface RawSlotPiece extends Omit<RawSlot, 'byteLength'> {
  /** Row of the slot that the bytes begin with. */
  readonly firstRow: number;
  /** Rows that they hold. */
  readonly rows: number;
}

/**
 * What a slot takes as it is stored, before it is read.
 *
 * @throws CheckpointError `missing-weight`, `invalid-shape`, `unsupported-dtype`
 */
export async function rawSlotInfo(source: SlotSource, slot: WeightSlot): Promise<RawSlotInfo> {
  const { binding, info, shape } = await describe(source, slot);
  if (binding.add !== undefined) return { slot, dtype: 'F32', shape, byteLength: elementCount(shape) * 4 };
  return {
    slot,
    dtype: info.dtype,
    shape,
    byteLength: info.byteLength * (elementCount(shape) / elementCount(info.shape)),
  };
}

/**
 * A slot as it is stored: only its bytes are read, a fused tensor's other rows are not. Rows that ggml keeps in rotation pairs are put in
 * order; GPT-2's weights in safetensors, stored [in, out], are turned over; what a family adds to a stored norm is added (as F32).
 *
 * @throws CheckpointError `missing-weight`, `invalid-shape`, `unsupported-dtype`, and what reading throws
 *
 * @example
 * ```ts
 * import { openCheckpoint, readRawSlot, weightSlots } from '@hip/checkpoints';
 *
 * await using smollm2 = await openCheckpoint('./SmolLM2-135M-Instruct.Q4_1.gguf');
 * const slot = weightSlots(smollm2.config).find(({ name }) => name === 'layers.0.ffn.up.weight')!;
 * const { dtype, shape, bytes } = await readRawSlot(smollm2, slot);
 * console.log([dtype, ...shape, bytes.length]); // => [ 'Q4_1', 1536, 576, 552960 ]
 * ```
 */
export async function readRawSlot(source: SlotSource, slot: WeightSlot): Promise<RawSlot> {
  const { binding, info, shape } = await describe(source, slot);
  if (binding.add !== undefined || binding.transform === 'patches') return asFloats(source, slot, shape);
  if (isConv1d(binding, slot)) return turned(await source.weights.readRaw(binding.tensor), binding, slot, shape);
  const rows = shape[0] ?? 1;
  const start = binding.rows?.start ?? 0;
  const part = binding.rows && ([start, start + rows] as const);
  const { bytes } = await source.weights.readRaw(binding.tensor, { rows: part });
  const ordered =
    binding.paired === undefined
      ? bytes
      : takeRows(bytes, bytes.byteLength / rows, { ...binding, rows: { start: 0, of: rows } }, rows);
  return { slot, dtype: info.dtype, shape, byteLength: ordered.byteLength, bytes: ordered };
}

/**
 * A slot as {@link readRawSlot} gives it, some rows at a time, in order: no more than a piece is in memory. Slots that have to be turned
 * over or added to are read whole.
 *
 * @param bytes - most bytes of a piece, as far as one row (a head's rows, where ggml keeps them in pairs) allows
 * @param into - room that pieces may be read into, one after another: each is valid until the next is asked for
 * @throws CheckpointError `missing-weight`, `invalid-shape`, `unsupported-dtype`, and what reading throws
 *
 * @example
 * ```ts
 * import { openCheckpoint, readRawPieces, weightSlots } from '@hip/checkpoints';
 *
 * await using smollm2 = await openCheckpoint('./SmolLM2-135M-Instruct.Q4_1.gguf');
 * const slot = weightSlots(smollm2.config).find(({ name }) => name === 'embeddings.token.weight')!;
 * let rows = 0;
 * for await (const piece of readRawPieces(smollm2, slot, { bytes: 2 ** 22 })) rows += piece.rows;
 * console.log(rows); // => 49152
 * ```
 */
export async function* readRawPieces(
  source: SlotSource,
  slot: WeightSlot,
  { bytes: most, into }: { readonly bytes: number; readonly into?: Uint8Array<ArrayBuffer> | undefined },
): AsyncGenerator<RawSlotPiece, void, void> {
  const { binding, info, shape } = await describe(source, slot);
  const rows = shape[0] ?? 1;
  const isPlain = binding.add === undefined && binding.transform !== 'patches' && !isConv1d(binding, slot);
  if (!isPlain || shape.length !== 2 || info.shape.length !== 2) {
    yield { ...(await readRawSlot(source, slot)), firstRow: 0, rows };
    return;
  }
  const rowBytes = info.byteLength / (info.shape[0] ?? 1);
  const { paired = 1 } = binding;
  const step = paired * Math.max(1, Math.floor(most / (rowBytes * paired)));
  const start = binding.rows?.start ?? 0;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const part = [start + first, start + first + count] as const;
    const { bytes } = await source.weights.readRaw(binding.tensor, { rows: part, into });
    const piece = takeRows(bytes, bytes.byteLength / count, { ...binding, rows: { start: 0, of: count } }, count);
    yield { slot, dtype: info.dtype, shape, bytes: piece, firstRow: first, rows: count };
  }
}

async function describe(source: SlotSource, slot: WeightSlot) {
  const [binding] = source.bind([slot]) as [TensorBinding];
  const info = await source.weights.info(binding.tensor);
  const stored = storedShape(binding, slot.shape, source.config.patches);
  const squeezed = binding.transform === 'squeeze' && elementCount(info.shape) === elementCount(slot.shape);
  if (!squeezed && (info.shape.length !== stored.length || info.shape.some((extent, i) => extent !== stored[i]))) {
    const message = `tensor ${binding.tensor} has shape [${info.shape.join(', ')}], the configuration implies [${stored.join(', ')}]`;
    throw new CheckpointError('invalid-shape', message, {
      tensor: binding.tensor,
      actual: info.shape,
      expected: stored,
    });
  }
  const linear = slot.shape.length === 2 && (slot.role === 'linear' || slot.role === 'head');
  return { binding, info, shape: linear ? slot.shape.toReversed() : slot.shape };
}

/** A linear weight stored [in, out], or a piece of a fused one's columns (or of its bias). */
function isConv1d(binding: TensorBinding, slot: WeightSlot): boolean {
  return binding.part !== undefined || (binding.transform === 'as-is' && slot.role === 'linear' && isWhole(binding));
}

/** Elements of [in, out] (or a part of the columns) as [out, in]. */
function turned(raw: RawTensor, binding: TensorBinding, slot: WeightSlot, shape: readonly number[]): RawSlot {
  const bytesOf: Readonly<Record<string, number>> = DTYPE_BYTES;
  const size = bytesOf[raw.dtype];
  if (size === undefined) {
    const message = `tensor ${raw.name} is ${raw.dtype} and stored [in, out]: blocks cannot be turned over`;
    throw new CheckpointError('unsupported-dtype', message, { tensor: raw.name, dtype: raw.dtype });
  }
  const width = raw.shape.at(-1) ?? 1;
  const [outputs = 1, inputs = 1] = shape;
  const first = binding.part ? (width / binding.part.of) * binding.part.index : 0;
  const bytes = new Uint8Array(elementCount(shape) * size);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      const from = (i * width + first + o) * size;
      for (let b = 0; b < size; b++) bytes[(o * inputs + i) * size + b] = raw.bytes[from + b] as number;
    }
  }
  return { slot, dtype: raw.dtype, shape, byteLength: bytes.byteLength, bytes };
}

async function asFloats(source: SlotSource, slot: WeightSlot, shape: readonly number[]): Promise<RawSlot> {
  const values = (await readSlots(source, [slot])).get(slot.name) as Float32Array;
  const [rows = 1, columns = 1] = slot.shape;
  const out = shape === slot.shape ? new Float32Array(values) : new Float32Array(values.length);
  if (shape !== slot.shape) {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c] as number;
  }
  return { slot, dtype: 'F32', shape, byteLength: out.byteLength, bytes: new Uint8Array(out.buffer) };
}
