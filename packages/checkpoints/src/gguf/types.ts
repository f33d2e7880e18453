// Tensor types of GGUF that are read: their numbers in files, and the bytes of a block of values.

/** A block type: `blockSize` values in `blockBytes` bytes, the blocks of a row one after another. */
export interface BlockType {
  /** Number in files (`enum ggml_type`). */
  readonly id: number;
  readonly blockSize: number;
  readonly blockBytes: number;
}

/**
 * Types that are read. Blocks, little endian: `Q8_0` f16 d, 32 × int8; `Q4_0` f16 d, 16 bytes; `Q4_1` f16 d, f16 m, 16 bytes; `Q5_0` f16 d,
 * 4 bytes of high bits, 16 bytes; `Q5_1` f16 d, f16 m, 4, 16; `Q4_K` f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 128 bytes;
 * `Q5_K` the same with 32 bytes of high bits before; `Q6_K` 128 bytes, 64 bytes of high bits, 16 × int8 scales, f16 d.
 */
export const GGUF_TYPES = {
  F32: { id: 0, blockSize: 1, blockBytes: 4 },
  F16: { id: 1, blockSize: 1, blockBytes: 2 },
  Q4_0: { id: 2, blockSize: 32, blockBytes: 18 },
  Q4_1: { id: 3, blockSize: 32, blockBytes: 20 },
  Q5_0: { id: 6, blockSize: 32, blockBytes: 22 },
  Q5_1: { id: 7, blockSize: 32, blockBytes: 24 },
  Q8_0: { id: 8, blockSize: 32, blockBytes: 34 },
  Q4_K: { id: 12, blockSize: 256, blockBytes: 144 },
  Q5_K: { id: 13, blockSize: 256, blockBytes: 176 },
  Q6_K: { id: 14, blockSize: 256, blockBytes: 210 },
  I8: { id: 24, blockSize: 1, blockBytes: 1 },
  I16: { id: 25, blockSize: 1, blockBytes: 2 },
  I32: { id: 26, blockSize: 1, blockBytes: 4 },
  I64: { id: 27, blockSize: 1, blockBytes: 8 },
  F64: { id: 28, blockSize: 1, blockBytes: 8 },
  BF16: { id: 30, blockSize: 1, blockBytes: 2 },
} as const satisfies Readonly<Record<string, BlockType>>;

/** Name of a tensor type of GGUF. */
export type GgufDtype = keyof typeof GGUF_TYPES;

/** Names of the types by number; the unread ones too, for messages. */
const UNREAD: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

const BY_ID = new Map<number, GgufDtype>(
  (Object.keys(GGUF_TYPES) as GgufDtype[]).map((name) => [GGUF_TYPES[name].id, name]),
);

/** The type of a number, or undefined where it is not read. */
export function ggufDtype(id: number): GgufDtype | undefined {
  return BY_ID.get(id);
}

/** The name of a type that is not read. */
export function unreadDtype(id: number): string {
  return UNREAD[id] ?? `type ${id}`;
}
