// Out of a run: ONNX, as it is or quantised.
import { exportOnnx, type ElasticModel, type OnnxDtype, type OnnxOptions } from '@instatune/supernet';

export const QUANTIZATIONS = ['none', 'int8', 'q4'] as const;
/** How ONNX weights are stored: float32, int8 (dynamic, per channel), or 4 bits in blocks. */
export type Quantization = (typeof QUANTIZATIONS)[number];

/** What `exportOnnx` calls them. */
export const ONNX_DTYPES: Readonly<Record<Quantization, OnnxDtype>> = { none: 'fp32', int8: 'q8', q4: 'q4' };

/** File names as transformers.js looks for them. */
export const ONNX_FILES: Readonly<Record<Quantization, string>> = {
  none: 'onnx/model.onnx',
  int8: 'onnx/model_quantized.onnx',
  q4: 'onnx/model_q4.onnx',
};

/** How a model's file is written: that of a language model goes on from cached keys and values. */
export function onnxOptions({ head }: ElasticModel['config'], quantize: Quantization): OnnxOptions {
  return { dtype: ONNX_DTYPES[quantize], cache: head === 'causal-lm' };
}

/**
 * A model as an ONNX file.
 *
 * @throws SupernetError as `exportOnnx` does
 */
export function onnxFile(model: ElasticModel, quantize: Quantization, signal?: AbortSignal): Promise<Uint8Array> {
  return exportOnnx(model, undefined, { ...onnxOptions(model.config, quantize), signal });
}
