// Weights as 8-bit codes with a scale for each output, and back: the arithmetic that the graph's operators undo.

/** A matrix whose element of input k and output n is `values[k · inputStride + n · outputStride]`. */
export interface Matrix {
  readonly values: Float32Array;
  readonly inputs: number;
  readonly outputs: number;
  readonly inputStride: number;
  readonly outputStride: number;
}

/** Codes of 8 bits, one scale for each output: w ≈ (code − 128) · scale. */
export interface ByteCodes {
  /** In the order of the matrix's values. */
  readonly codes: Uint8Array;
  /** [outputs]. */
  readonly scales: Float32Array;
}

/** The code that stands for zero. */
const BYTE_ZERO = 128;

/** Symmetric 8-bit codes, per output channel. */
export function quantizeBytes({ values, inputs, outputs, inputStride, outputStride }: Matrix): ByteCodes {
  const scales = new Float32Array(outputs);
  for (let k = 0; k < inputs; k++) {
    for (let n = 0, at = k * inputStride; n < outputs; n++, at += outputStride) {
      const magnitude = Math.abs(values[at] as number);
      if (magnitude > (scales[n] as number)) scales[n] = magnitude;
    }
  }
  for (let n = 0; n < outputs; n++) scales[n] = (scales[n] as number) / 127;
  const codes = new Uint8Array(inputs * outputs);
  for (let k = 0; k < inputs; k++) {
    for (let n = 0, at = k * inputStride; n < outputs; n++, at += outputStride) {
      const scale = scales[n] as number;
      const code = scale > 0 ? Math.round((values[at] as number) / scale) : 0;
      codes[at] = BYTE_ZERO + Math.max(-127, Math.min(127, code));
    }
  }
  return { codes, scales };
}

/** Values of 8-bit codes, in the order of the codes. */
export function dequantizeBytes({ codes, scales }: ByteCodes, matrix: Omit<Matrix, 'values'>): Float32Array {
  const { inputs, outputs, inputStride, outputStride } = matrix;
  const values = new Float32Array(codes.length);
  for (let k = 0; k < inputs; k++) {
    for (let n = 0, at = k * inputStride; n < outputs; n++, at += outputStride) {
      values[at] = ((codes[at] as number) - BYTE_ZERO) * (scales[n] as number);
    }
  }
  return values;
}
