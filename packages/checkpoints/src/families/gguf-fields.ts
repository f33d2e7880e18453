// What a family asks of a GGUF file: the fields of its architecture, and which tensors there are.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import type { GgufFile } from '../gguf/open.ts';
import { elementCount } from '../shape.ts';

/** Values of a small tensor at most: a frequency each. */
const MAX_VALUES = 2 ** 16;

/** The fields of one GGUF file under its architecture's prefix: `number('block_count')` is `llama.block_count` of a Llama. */
export interface GgufFields {
  /** `general.architecture`. */
  readonly architecture: string;
  /** A number. @throws CheckpointError `invalid-config` when absent (without fallback), of another type, or unequal between layers */
  number(key: string, fallback?: number): number;
  /** A number, or undefined where it is absent. @throws CheckpointError as `number` */
  optional(key: string): number | undefined;
  /** A text, or undefined where there is none. */
  text(key: string): string | undefined;
  /** A value of any key, whole: `tokenizer.ggml.eos_token_id`. */
  value(key: string): unknown;
  has(tensor: string): boolean;
  /** Values of a small tensor. */
  floats(tensor: string): Promise<readonly number[]>;
}

/** Fields of an open file. @throws CheckpointError `invalid-gguf` without an architecture */
export function ggufFields(file: GgufFile): GgufFields {
  const { metadata, tensors } = file;
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') {
    throw new CheckpointError('invalid-gguf', `${file.name} names no general.architecture`, { name: file.name });
  }
  const optional = (key: string): number | undefined => {
    const full = `${architecture}.${key}`;
    const value = metadata.get(full);
    if (value === undefined) return undefined;
    // Some writers give one value a layer.
    const single = Array.isArray(value) && new Set(value).size === 1 ? (value[0] as unknown) : value;
    if (typeof single === 'number' && Number.isFinite(single)) return shortest(single);
    const shown = quoted(value);
    throw new CheckpointError('invalid-config', `${file.name}: ${full} is ${shown}, expected one number`, {
      key: full,
      value,
    });
  };
  return {
    architecture,
    optional,
    number: (key, fallback) => {
      const value = optional(key) ?? fallback;
      if (value !== undefined) return value;
      throw new CheckpointError('invalid-config', `${file.name} has no ${architecture}.${key}`, { key });
    },
    text: (key) => {
      const value = metadata.get(`${architecture}.${key}`);
      return typeof value === 'string' ? value : undefined;
    },
    value: (key) => metadata.get(key),
    has: (tensor) => tensors.has(tensor),
    floats: async (tensor) => {
      const { shape } = file.info(tensor);
      if (elementCount(shape) <= MAX_VALUES) return [...(await file.read(tensor)).data];
      const message = `${file.name}: ${tensor} ${quoted(shape)}, expected at most ${MAX_VALUES} values`;
      throw new CheckpointError('invalid-config', message, { tensor, shape });
    },
  };
}

/** The shortest decimal of a float32: files store 1e-5 as 0.000009999999747378752. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
