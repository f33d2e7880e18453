// Stored matrices written by their definition: random blocks as GGUF stores them, and the float64 numbers they stand for.
import { WEIGHT_TYPES, type WeightType } from '../../src/model/types.ts';

/** Numbers from 0 to 1, the same for the same seed. */
export function randomSource(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function halfAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat16(at, true);
}

/** Value i of a block, in float64. */
type Value = (block: Uint8Array, i: number) => number;

const nibble = (block: Uint8Array, at: number, i: number): number =>
  i < 16 ? block[at + i]! & 15 : block[at + i - 16]! >> 4;
const bit = (block: Uint8Array, at: number, i: number): number => (block[at + (i >> 3)]! >> (i & 7)) & 1;

/** Scale and minimum of sub-block j of a K block. */
function sixBits(block: Uint8Array, j: number): readonly [number, number] {
  const at = (i: number): number => block[4 + i]!;
  return j < 4
    ? [at(j) & 63, at(j + 4) & 63]
    : [(at(j + 4) & 15) + ((at(j - 4) >> 6) << 4), (at(j + 4) >> 4) + ((at(j) >> 6) << 4)];
}

function valueOfK(block: Uint8Array, i: number, five: boolean): number {
  const j = Math.floor(i / 32);
  const byte = block[(five ? 48 : 16) + Math.floor(i / 64) * 32 + (i % 32)]!;
  const low = j % 2 === 0 ? byte % 16 : byte >> 4;
  const q = five ? low + 16 * ((block[16 + (i % 32)]! >> j) & 1) : low;
  const [scale, minimum] = sixBits(block, j);
  return halfAt(block, 0) * scale * q - halfAt(block, 2) * minimum;
}

const VALUES: Record<WeightType, Value> = {
  F32: (block) => new DataView(block.buffer, block.byteOffset).getFloat32(0, true),
  F16: (block) => halfAt(block, 0),
  BF16: (block) => {
    const words = new Uint32Array([(block[0]! << 16) | (block[1]! << 24)]);
    return new Float32Array(words.buffer)[0]!;
  },
  Q8_0: (block, i) => halfAt(block, 0) * ((block[2 + i]! << 24) >> 24),
  Q4_0: (block, i) => halfAt(block, 0) * (nibble(block, 2, i) - 8),
  Q4_1: (block, i) => halfAt(block, 0) * nibble(block, 4, i) + halfAt(block, 2),
  Q5_0: (block, i) => halfAt(block, 0) * (nibble(block, 6, i) + 16 * bit(block, 2, i) - 16),
  Q5_1: (block, i) => halfAt(block, 0) * (nibble(block, 8, i) + 16 * bit(block, 4, i)) + halfAt(block, 2),
  Q4_K: (block, i) => valueOfK(block, i, false),
  Q5_K: (block, i) => valueOfK(block, i, true),
  Q6_K: (block, i) => {
    const [part, rest] = [Math.floor(i / 128), i % 128];
    const [row, column] = [Math.floor(rest / 32), rest % 32];
    const byte = block[part * 64 + (row % 2) * 32 + column]!;
    const low = row < 2 ? byte % 16 : byte >> 4;
    const high = (block[128 + part * 32 + column]! >> (2 * row)) & 3;
    const scale = (block[192 + part * 8 + row * 2 + Math.floor(column / 16)]! << 24) >> 24;
    return halfAt(block, 208) * scale * (low + 16 * high - 32);
  },
};

/** Where a block holds float16 numbers. */
const HALVES: Record<WeightType, readonly number[]> = {
  F32: [],
  F16: [0],
  BF16: [],
  Q8_0: [0],
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** A matrix of random blocks: its bytes, and the numbers in them. */
export function randomMatrix(
  type: WeightType,
  rows: number,
  columns: number,
  seed: number,
): { readonly bytes: Uint8Array; readonly values: Float64Array } {
  const random = randomSource(seed);
  const { values: size, bytes: blockBytes } = WEIGHT_TYPES[type];
  const blocks = (rows * columns) / size;
  const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => Math.floor(random() * 256));
  const view = new DataView(bytes.buffer);
  const values = new Float64Array(rows * columns);
  for (let b = 0; b < blocks; b++) {
    const at = b * blockBytes;
    for (const half of HALVES[type]) view.setFloat16(at + half, (random() * 2 - 1) * (size === 1 ? 1 : 0.05), true);
    if (type === 'F32') view.setFloat32(at, random() * 2 - 1, true);
    if (type === 'BF16')
      view.setUint16(at, (view.getUint16(at, true) & 0x80ff) | (0x3e00 + 0x100 * Math.floor(random() * 2)), true);
    const block = bytes.subarray(at, at + blockBytes);
    for (let i = 0; i < size; i++) values[b * size + i] = VALUES[type](block, i);
  }
  return { bytes, values };
}
