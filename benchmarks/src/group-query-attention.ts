// A model of one causal GroupQueryAttention node without past, positions or rotation: what onnxruntime is measured with.
import { bytesWeight, onnxGraph, onnxModel, onnxModelBytes, onnxNode, onnxValue } from '@hip/onnx/model';

/** query [B, T, H·d], key and value [B, T, Hkv·d] → output [B, T, H·d], present_key and present_value. */
export function groupQueryAttentionModel({
  heads,
  kvHeads,
  headDim,
  type,
}: {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly type: 'float' | 'float16';
}): Promise<Uint8Array> {
  const flat = (name: string, count: number) => onnxValue(name, type, ['batch', 'rows', count * headDim]);
  const present = (name: string) => onnxValue(name, type, ['batch', kvHeads, 'keys', headDim]);
  const graph = onnxGraph('attention', {
    node: [
      onnxNode(
        'GroupQueryAttention',
        ['query', 'key', 'value', '', '', 'seqlens_k', 'total_sequence_length'],
        ['output', 'present_key', 'present_value'],
        { domain: 'com.microsoft', attributes: { num_heads: BigInt(heads), kv_num_heads: BigInt(kvHeads) } },
      ),
    ],
    input: [
      flat('query', heads),
      flat('key', kvHeads),
      flat('value', kvHeads),
      onnxValue('seqlens_k', 'int32', ['batch']),
      onnxValue('total_sequence_length', 'int32', []),
    ],
    output: [flat('output', heads), present('present_key'), present('present_value')],
  });
  const proto = onnxModel(graph, { '': 17, 'com.microsoft': 1 }, { irVersion: 8 });
  return onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
}
