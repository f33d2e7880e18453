// What exportOnnx writes weights as: the choices, their defaults, and what is refused.
import { SupernetError } from '../../errors.ts';
import type { FloatName } from './graph.ts';

/**
 * How weights are stored and computed with, by the names that transformers.js gives them:
 *
 * - `fp32`, `fp16`: floats; `fp16` computes in them too.
 * - `q8`: 8-bit weights, one scale for each output channel; activations become 8-bit numbers when the model runs (dynamic quantisation).
 * - `q4`, `q4f16`: 4-bit weights in blocks along the input (MatMulNBits); activations are float32 and float16. Token embeddings and the
 *   output have 8 bits, since 4 there cost a small model a tenth of its perplexity.
 */
export type OnnxDtype = 'fp32' | 'fp16' | 'q8' | 'q4' | 'q4f16';

/** Every {@link OnnxDtype}. */
export const ONNX_DTYPES: readonly OnnxDtype[] = ['fp32', 'fp16', 'q8', 'q4', 'q4f16'];

/** Details of 8-bit and 4-bit weights. */
export interface OnnxQuantization {
  /** Weights that share a scale in `q4` and `q4f16`: 16, 32, 64, 128 or 256. @defaultValue 32 */
  readonly blockSize?: number | undefined;
  /** 4-bit codes around 8, without zero points; else each block has its own zero point. @defaultValue false */
  readonly symmetric?: boolean | undefined;
  /**
   * MatMulNBits' `accuracy_level`: 4 multiplies 8-bit activations where the runtime has such a kernel (faster, less accurate), 0 leaves
   * activations as they are.
   *
   * @defaultValue 4
   */
  readonly accuracyLevel?: 0 | 1 | 2 | 3 | 4 | undefined;
  /**
   * Bits of the table of token embeddings (tied to the output, it is one table) and of the output in `q4` and `q4f16`; `false` keeps the
   * table as floats.
   *
   * @defaultValue 8
   */
  readonly embeddings?: 4 | 8 | boolean | undefined;
  /**
   * Whether blocks of 4 bits have a float besides their scale, w = scale · code + least, as those of GGUF's Q4_1 do: two products more
   * for each weight, and nothing is lost of such files. `auto`: where the weights lie on such a grid and whole zero points do not say it.
   *
   * @defaultValue 'auto', false with `symmetric`
   */
  readonly minima?: boolean | 'auto' | undefined;
  /** Weights to keep as floats, by slot name, e.g. `head.weight` or `layers.0.ffn.down.weight`. @defaultValue none */
  readonly keep?: ((slot: string) => boolean) | undefined;
  /**
   * Bits of single weights, by slot name, where they are others than those of the dtype: layers that quantisation hurts keep 8 bits in a file of
   * 4. Not in `q4f16`, whose activations 8-bit products do not take.
   *
   * @defaultValue those of the dtype
   */
  readonly bits?: ((slot: string) => 4 | 8 | undefined) | undefined;
}

/** Options with their defaults. */
export interface WeightFormat {
  readonly dtype: OnnxDtype;
  /** Of arithmetic and of weights that are not quantised. */
  readonly float: FloatName;
  readonly bits: 4 | 8 | undefined;
  /** Bits of one weight, where they are others. */
  readonly bitsOf: (slot: string) => 4 | 8 | undefined;
  readonly blockSize: number;
  readonly symmetric: boolean;
  readonly accuracyLevel: number;
  /** Of the token table and the output; undefined: they stay float. */
  readonly tableBits: 4 | 8 | undefined;
  readonly minima: boolean | 'auto';
  readonly keep: (slot: string) => boolean;
}

/** @throws SupernetError `invalid-option` */
export function weightFormat(dtype: OnnxDtype = 'fp32', quantization: OnnxQuantization = {}): WeightFormat {
  const invalid = (name: string, value: unknown, expected: string): SupernetError =>
    new SupernetError('invalid-option', `${name} = ${String(value)}: expected ${expected}`, { [name]: value });
  if (!ONNX_DTYPES.includes(dtype)) throw invalid('dtype', dtype, ONNX_DTYPES.join(', '));
  const { blockSize = 32, symmetric = false, accuracyLevel = 4, embeddings = 8, keep = () => false } = quantization;
  const { minima = symmetric ? false : 'auto' } = quantization;
  const { bits: bitsOf } = quantization;
  if (bitsOf && !(dtype === 'q8' || dtype === 'q4'))
    throw invalid('dtype', dtype, 'q8 or q4 where single weights have other bits');
  if (![16, 32, 64, 128, 256].includes(blockSize)) throw invalid('blockSize', blockSize, '16, 32, 64, 128 or 256');
  if (![0, 1, 2, 3, 4].includes(accuracyLevel)) throw invalid('accuracyLevel', accuracyLevel, '0, 1, 2, 3 or 4');
  if (![4, 8, true, false].includes(embeddings)) throw invalid('embeddings', embeddings, '4, 8, true or false');
  if (![true, false, 'auto'].includes(minima)) throw invalid('minima', minima, "true, false or 'auto'");
  if (symmetric && minima === true) throw invalid('minima', minima, 'false with symmetric codes');
  const bits = dtype.startsWith('q4') ? 4 : dtype === 'q8' ? 8 : undefined;
  return {
    dtype,
    float: dtype.endsWith('16') ? 'float16' : 'float',
    bits,
    bitsOf: (slot) => {
      const own = bitsOf?.(slot);
      if (own !== undefined && own !== 4 && own !== 8) throw invalid(`bits of ${slot}`, own, '4, 8 or undefined');
      return own;
    },
    blockSize,
    symmetric,
    accuracyLevel,
    tableBits: embeddings === false || bits === undefined ? undefined : bits === 4 && embeddings === 4 ? 4 : 8,
    minima,
    keep,
  };
}
