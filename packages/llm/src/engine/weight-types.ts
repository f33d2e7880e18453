// How each weight matrix lies in memory: the type of its file, or the one that was asked for where the file's is a float.
import { GGUF_TYPES, type GgufDtype, type RawSlotInfo, type StoredDtype } from '@hip/checkpoints';
import type { WeightType } from '@hip/kernels-cpu';
import { LlmError } from '../errors.ts';
import { BLOCK } from './quantize.ts';
import type { WeightChoice } from './types.ts';

const TYPES: readonly WeightType[] = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q4_K',
  'Q5_K',
  'Q6_K',
];

/**
 * Type in memory of a matrix [rows, columns].
 *
 * Blocks of a file are kept under 'q8' and 'q4'. Tables of embeddings and heads are read whole or decide between tokens: they take 8 bits
 * under 'q4'. Rows that are no multiple of a block take float16.
 *
 * @throws LlmError `unsupported-model` for element types that are no weights
 */
export function weightType({ dtype, shape, slot }: RawSlotInfo, choice: WeightChoice): WeightType {
  const stored = TYPES.find((type) => type === dtype);
  if (!stored) {
    const message = `${slot.name} is stored as ${dtype}: weights may be ${TYPES.join(', ')}`;
    throw new LlmError('unsupported-model', message, { weight: slot.name, dtype });
  }
  if (choice === 'stored') return stored;
  if (choice === 'f32') return 'F32';
  if (choice === 'f16') return 'F16';
  if (!isFloat(stored)) return stored;
  if ((shape.at(-1) ?? 0) % BLOCK !== 0) return 'F16';
  return choice === 'q8' || slot.role !== 'linear' ? 'Q8_0' : 'Q4_1';
}

export function isFloat(dtype: StoredDtype): dtype is 'F32' | 'F16' | 'BF16' {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** Bytes of so many elements, whole blocks. */
export function weightBytes(type: WeightType, elements: number): number {
  const { blockSize, blockBytes } = GGUF_TYPES[type satisfies GgufDtype];
  return (elements / blockSize) * blockBytes;
}
