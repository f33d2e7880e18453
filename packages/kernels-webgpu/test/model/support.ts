// Stored matrices of random blocks and what they stand for, and float64 references of what is computed with them.
import { dequantize } from '@hip/checkpoints';
import { WEIGHT_TYPES, type WeightType } from '../../src/model/index.ts';
import { randomValues } from '../support/cases.ts';

export const TYPES = Object.keys(WEIGHT_TYPES) as WeightType[];

/** Where a block holds float16 numbers, by type. */
const HALVES: Readonly<Record<WeightType, readonly number[]>> = {
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

/** A matrix of random blocks: its bytes as a file stores them, and the numbers in them. */
export function randomMatrix(
  type: WeightType,
  rows: number,
  columns: number,
  seed: number,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly values: Float32Array } {
  const { values: size, bytes: blockBytes } = WEIGHT_TYPES[type];
  const blocks = (rows * columns) / size;
  const noise = randomValues(blocks * blockBytes, seed);
  const bytes = Uint8Array.from(noise, (x) => Math.floor((x + 1) * 127.99));
  const scales = randomValues(2 * blocks, seed + 1);
  const view = new DataView(bytes.buffer);
  for (let b = 0; b < blocks; b++) {
    const at = b * blockBytes;
    const scale = scales[b]!;
    for (const [i, half] of HALVES[type].entries())
      view.setFloat16(at + half, scales[2 * b + i]! * (size === 1 ? 1 : size === 32 ? 0.05 : 0.002), true);
    if (type === 'F32') view.setFloat32(at, scale, true);
    // The upper half of a float32.
    if (type === 'BF16') {
      const word = new DataView(new ArrayBuffer(4));
      word.setFloat32(0, scale);
      view.setUint16(at, word.getUint16(0), true);
    }
  }
  return { bytes, values: dequantize(bytes, type) as Float32Array };
}

/** x · wᵀ in float64, and the sum of the products' sizes, which rounding is a share of. */
export function product(
  x: ArrayLike<number>,
  w: Float32Array,
  { rows, outputs, columns }: { readonly rows: number; readonly outputs: number; readonly columns: number },
): { readonly sums: Float64Array; readonly sizes: Float64Array } {
  const sums = new Float64Array(rows * outputs);
  const sizes = new Float64Array(rows * outputs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outputs; o++) {
      let [sum, size] = [0, 0];
      for (let c = 0; c < columns; c++) {
        const term = x[r * columns + c]! * w[o * columns + c]!;
        sum += term;
        size += Math.abs(term);
      }
      sums[r * outputs + o] = sum;
      sizes[r * outputs + o] = size;
    }
  }
  return { sums, sizes };
}

/** Largest error as a share of the sizes; what is not finite is an error without end. */
export function worst(actual: ArrayLike<number>, expected: ArrayLike<number>, sizes: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(actual[i]! - expected[i]!) / (sizes[i]! + 1e-3);
    if (!(off <= most)) most = Number.isNaN(off) ? Infinity : off;
  }
  return most;
}

/** The error function by its series and, where that cancels, its continued fraction. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 3) {
    let [term, sum] = [size, size];
    for (let n = 1; n < 80; n++) {
      term *= -(size * size) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = size;
  for (let n = 60; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-size * size) / fraction / Math.sqrt(Math.PI));
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export const ACTIVATION_FUNCTIONS = {
  identity: (x: number) => x,
  silu: (x: number) => x * sigmoid(x),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  'gelu-tanh': (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  'gelu-quick': (x: number) => x * sigmoid(1.702 * x),
  relu: (x: number) => Math.max(0, x),
  'relu-squared': (x: number) => Math.max(0, x) ** 2,
  sigmoid,
  tanh: Math.tanh,
} as const;

/** Rows divided by their root mean square, less their mean first where `centred`; times a weight, plus a bias. */
export function normed(
  x: ArrayLike<number>,
  width: number,
  {
    centred = false,
    epsilon,
    weight,
    bias,
  }: {
    readonly centred?: boolean;
    readonly epsilon: number;
    readonly weight?: ArrayLike<number> | undefined;
    readonly bias?: ArrayLike<number> | undefined;
  },
): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    let mean = 0;
    if (centred) for (let i = 0; i < width; i++) mean += x[at + i]! / width;
    let square = 0;
    for (let i = 0; i < width; i++) square += (x[at + i]! - mean) ** 2 / width;
    for (let i = 0; i < width; i++)
      out[at + i] = ((x[at + i]! - mean) / Math.sqrt(square + epsilon)) * (weight?.[i] ?? 1) + (bias?.[i] ?? 0);
  }
  return out;
}
