// Out of a run: ONNX, as it is or quantised.
import { exportOnnx, type ElasticModel } from '@instatune/supernet';
import { TuneError } from '../errors.ts';

export const QUANTIZATIONS = ['none', 'int8', 'q4'] as const;
/** How ONNX weights are stored: float32, int8 (dynamic, per channel), or 4 bits in blocks. */
export type Quantization = (typeof QUANTIZATIONS)[number];

/** File names as transformers.js looks for them. */
export const ONNX_FILES: Readonly<Record<Quantization, string>> = {
  none: 'onnx/model.onnx',
  int8: 'onnx/model_int8.onnx',
  q4: 'onnx/model_q4.onnx',
};

/**
 * A model as an ONNX file.
 *
 * @throws TuneError `invalid-option` for a quantisation that this version of `exportOnnx` has not; SupernetError as that does
 */
export async function onnxFile(model: ElasticModel, quantize: Quantization, signal?: AbortSignal): Promise<Uint8Array> {
  if (quantize !== 'none')
    throw new TuneError('invalid-option', `--quantize ${quantize} is not there yet: use none`, { quantize });
  return exportOnnx(model, undefined, { signal });
}
