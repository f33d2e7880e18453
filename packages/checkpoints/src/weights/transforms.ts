// Stored tensor ↔ slot values: transposes, parts of fused tensors, convolution kernels; exact inverses of each other.
import { elementCount } from '../shape.ts';
import { CheckpointError } from '../errors.ts';
import type { TensorBinding } from '../families/family.ts';
import { isWhole, takeRows } from './rows.ts';
import type { PatchConfig } from '../model/config.ts';

/** Values of a slot from its stored tensor. @throws CheckpointError `invalid-shape` when the stored shape does not fit. */
export function toSlot(
  binding: TensorBinding,
  stored: { readonly shape: readonly number[]; readonly data: Float32Array },
  slotShape: readonly number[],
  patches: PatchConfig | undefined,
): Float32Array {
  const expected = storedShape(binding, slotShape, patches);
  if (binding.transform === 'squeeze') {
    if (elementCount(stored.shape) !== elementCount(slotShape)) throw mismatch(binding, stored.shape, expected);
    return stored.data;
  }
  if (stored.shape.length !== expected.length || stored.shape.some((n, i) => n !== expected[i])) {
    throw mismatch(binding, stored.shape, expected);
  }
  const rows = slotShape[binding.transform === 'transpose' ? 1 : 0] as number;
  const data = adjusted(binding, stored.data, expected, rows);
  switch (binding.transform) {
    case 'transpose': {
      return transpose(data, rows, slotShape[0] as number);
    }
    case 'patches': {
      // [out, channel, y, x] → [(y, x, channel), out]
      const [out, channels, height, width] = expected as [number, number, number, number];
      const result = new Float32Array(data.length);
      let source = 0;
      for (let o = 0; o < out; o++)
        for (let c = 0; c < channels; c++)
          for (let p = 0; p < height * width; p++) result[(p * channels + c) * out + o] = data[source++] as number;
      return result;
    }
    default:
      return binding.part ? takePart(data, expected, binding.part) : data;
  }
}

/** Stored shape and values of slots that share one tensor (parts in order), inverse of {@link toSlot}. */
export function fromSlots(
  bindings: readonly TensorBinding[],
  values: readonly Float32Array[],
  slotShapes: readonly (readonly number[])[],
  patches: PatchConfig | undefined,
): { shape: readonly number[]; data: Float32Array } {
  const [binding, slotShape, data] = [bindings[0], slotShapes[0], values[0]];
  if (!binding || !slotShape || !data) throw new CheckpointError('internal', 'no slot to store');
  const shape = storedShape(binding, slotShape, patches);
  if (binding.rows) return joinRows(bindings, values, slotShapes, shape);
  switch (binding.transform) {
    case 'transpose':
      return { shape, data: transpose(data, shape[1] as number, shape[0] as number) };
    case 'patches': {
      const [out, channels, height, width] = shape as [number, number, number, number];
      const result = new Float32Array(data.length);
      let target = 0;
      for (let o = 0; o < out; o++)
        for (let c = 0; c < channels; c++)
          for (let p = 0; p < height * width; p++) result[target++] = data[(p * channels + c) * out + o] as number;
      return { shape, data: result };
    }
    default:
      return binding.part ? joinParts(bindings, values, slotShapes) : { shape, data };
  }
}

/** Shape of the stored tensor of a slot. */
export function storedShape(
  binding: TensorBinding,
  slotShape: readonly number[],
  patches: PatchConfig | undefined,
): readonly number[] {
  const [first = 1, second = 1] = slotShape;
  const rows = binding.rows?.of;
  if (binding.transform === 'transpose') return [rows ?? second, first];
  if (rows !== undefined) return [rows, ...slotShape.slice(1)];
  if (binding.transform === 'patches') {
    if (!patches) throw new CheckpointError('internal', 'patch weights without a patch configuration');
    return [second, patches.channels, ...patches.patchSize];
  }
  if (binding.transform === 'squeeze') return [1, 1, ...slotShape].slice(-3);
  if (binding.part) return [...slotShape.slice(0, -1), (slotShape.at(-1) ?? 1) * binding.part.of];
  return slotShape;
}

/** The slot's rows of the stored tensor, in the slot's order, with what is added to them. */
function adjusted(binding: TensorBinding, data: Float32Array, shape: readonly number[], rows: number): Float32Array {
  const width = elementCount(shape.slice(1));
  const taken = isWhole(binding) ? data : takeRows(data, width, binding, rows);
  const { add } = binding;
  return add === undefined ? taken : taken.map((value) => value + add);
}

function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c] as number;
  return out;
}

function takePart(data: Float32Array, shape: readonly number[], part: { index: number; of: number }): Float32Array {
  const width = shape.at(-1) ?? 1;
  const size = width / part.of;
  const rows = data.length / width;
  const out = new Float32Array(rows * size);
  for (let row = 0; row < rows; row++) {
    const start = row * width + part.index * size;
    out.set(data.subarray(start, start + size), row * size);
  }
  return out;
}

function joinParts(
  bindings: readonly TensorBinding[],
  values: readonly Float32Array[],
  shapes: readonly (readonly number[])[],
): { shape: readonly number[]; data: Float32Array } {
  const sizes = shapes.map((shape) => shape.at(-1) ?? 1);
  const width = sizes.reduce((sum, size) => sum + size, 0);
  const rows = (values[0] as Float32Array).length / (sizes[0] as number);
  const data = new Float32Array(rows * width);
  let column = 0;
  const order = bindings
    .map((_, i) => i)
    .sort((a, b) => (bindings[a]?.part?.index ?? 0) - (bindings[b]?.part?.index ?? 0));
  for (const i of order) {
    const size = sizes[i] as number;
    for (let row = 0; row < rows; row++) {
      data.set((values[i] as Float32Array).subarray(row * size, (row + 1) * size), row * width + column);
    }
    column += size;
  }
  return { shape: [...(shapes[0] as readonly number[]).slice(0, -1), width], data };
}

/** Slots that are rows of one tensor [out, in], put where they belong. */
function joinRows(
  bindings: readonly TensorBinding[],
  values: readonly Float32Array[],
  slotShapes: readonly (readonly number[])[],
  shape: readonly number[],
): { shape: readonly number[]; data: Float32Array } {
  const columns = elementCount(shape.slice(1));
  const data = new Float32Array(elementCount(shape));
  for (const [i, binding] of bindings.entries()) {
    const slot = values[i] as Float32Array;
    const rows = slot.length / columns;
    const stored = binding.transform === 'transpose' ? transpose(slot, columns, rows) : slot;
    data.set(stored, (binding.rows?.start ?? 0) * columns);
  }
  return { shape, data };
}

function mismatch(binding: TensorBinding, actual: readonly number[], expected: readonly number[]): CheckpointError {
  return new CheckpointError(
    'invalid-shape',
    `tensor ${binding.tensor} has shape [${actual.join(', ')}], config.json implies [${expected.join(', ')}]`,
    { tensor: binding.tensor, actual, expected },
  );
}
