// Graphs in onnxruntime-node: feeds of a model's inputs; a decoder that keeps its cache.
import type * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import type { ModelInputs } from '../../src/model/types.ts';

type Tensors = Record<string, ort.Tensor>;

/** What a graph asks for, of a model's inputs. */
export async function feedsOf(session: ort.InferenceSession, inputs: ModelInputs): Promise<Record<string, ort.Tensor>> {
  const given: Record<string, tf.Tensor | undefined> = {
    input_ids: inputs.inputIds,
    attention_mask: inputs.attentionMask,
    token_type_ids: inputs.tokenTypeIds,
    pixel_values: inputs.pixelValues,
  };
  const result: Record<string, ort.Tensor> = {};
  for (const name of session.inputNames) {
    const tensor = given[name];
    const shape = [...(tensor ?? inputs.inputIds)!.shape];
    if (name === 'pixel_values') {
      result[name] = new ort.Tensor('float32', (await tensor!.data()) as Float32Array, shape);
      continue;
    }
    // Inputs the golden case leaves out: everything is real, all tokens in segment 0.
    const size = shape[0]! * shape[1]!;
    const values = tensor ? await tensor.data() : new Int32Array(size).fill(name === 'attention_mask' ? 1 : 0);
    result[name] = new ort.Tensor('int64', BigInt64Array.from(values, BigInt), shape);
  }
  return result;
}

/** Runs an exported decoder, with or without a cache. */
export class OnnxDecoder {
  readonly session: ort.InferenceSession;
  #past: Tensors = {};
  #mask: number[][] = [];

  private constructor(session: ort.InferenceSession) {
    this.session = session;
  }

  static async create(model: Uint8Array | string): Promise<OnnxDecoder> {
    const options = { logSeverityLevel: 3 } as const;
    return new OnnxDecoder(
      typeof model === 'string'
        ? await ort.InferenceSession.create(model, options)
        : await ort.InferenceSession.create(model, options),
    );
  }

  /** Logits of the next tokens, the same number of each row. @param keep - of how many of the last, 0: all */
  async run(ids: readonly (readonly number[])[], { keep = 0 }: { keep?: number } = {}): Promise<ort.Tensor> {
    const [batch, length] = [ids.length, ids[0]!.length];
    this.#mask = ids.map((row, b) => [...(this.#mask[b] ?? []), ...row.map(() => 1)]);
    const int64 = (values: readonly number[], dims: number[]) =>
      new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
    const feeds: Tensors = {};
    for (const meta of this.session.inputMetadata) {
      if (meta.name === 'input_ids') feeds[meta.name] = int64(ids.flat(), [batch, length]);
      else if (meta.name === 'attention_mask')
        feeds[meta.name] = int64(this.#mask.flat(), [batch, this.#mask[0]!.length]);
      else if (meta.name === 'num_logits_to_keep') feeds[meta.name] = int64([keep], []);
      else if (meta.isTensor) {
        const dims = meta.shape.map((extent, axis) => (axis === 0 ? batch : typeof extent === 'number' ? extent : 0));
        const empty = meta.type === 'float16' ? new Uint16Array(0) : new Float32Array(0);
        const past = this.#past[meta.name] ?? new ort.Tensor(meta.type as 'float32', empty as Float32Array, dims);
        feeds[meta.name] = fed(past);
      }
    }
    const outputs = await this.session.run(feeds);
    this.#past = Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present.'))
        .map(([name, tensor]) => [name.replace('present.', 'past_key_values.'), fed(tensor)]),
    );
    return outputs['logits']!;
  }

  async reset(): Promise<void> {
    this.#past = {};
    this.#mask = [];
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

/** onnxruntime-node makes float16 a Float16Array and takes it as Uint16Array only. */
function fed(tensor: ort.Tensor): ort.Tensor {
  if (tensor.type !== 'float16') return tensor;
  const { buffer, byteOffset, length } = tensor.data as Uint16Array;
  return Object.assign(tensor, { cpuData: new Uint16Array(buffer, byteOffset, length) });
}
