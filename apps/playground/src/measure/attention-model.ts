// Models of one causal node of com.microsoft, version 1, without rotation: what onnxruntime is measured with.
import { bytesWeight, onnxGraph, onnxModel, onnxModelBytes, onnxNode, onnxValue } from '@hip/onnx/model';
import type { Sizes } from './protocol.ts';

export interface GroupQueryOptions extends Sizes {
  /** @defaultValue 'float' */
  readonly type?: 'float' | 'float16' | undefined;
  /** The graph also takes past_key and past_value [B, Hkv, T − Tq, d]. @defaultValue false */
  readonly hasPast?: boolean | undefined;
}

/** GroupQueryAttention: query [B, Tq, H·d], key and value [B, Tq, Hkv·d] → output [B, Tq, H·d], present_key and present_value. */
export function groupQueryModel(options: GroupQueryOptions): Promise<Uint8Array> {
  const { heads, kvHeads, headDim, type = 'float', hasPast = false } = options;
  const flat = (name: string, count: number) => onnxValue(name, type, ['batch', 'rows', count * headDim]);
  const kept = (name: string, rows: string) => onnxValue(name, type, ['batch', kvHeads, rows, headDim]);
  const past = hasPast ? ['past_key', 'past_value'] : ['', ''];
  const graph = onnxGraph('attention', {
    node: [
      onnxNode(
        'GroupQueryAttention',
        ['query', 'key', 'value', ...past, 'seqlens_k', 'total_sequence_length'],
        ['output', 'present_key', 'present_value'],
        { domain: 'com.microsoft', attributes: { num_heads: BigInt(heads), kv_num_heads: BigInt(kvHeads) } },
      ),
    ],
    input: [
      flat('query', heads),
      flat('key', kvHeads),
      flat('value', kvHeads),
      ...(hasPast ? past.map((name) => kept(name, 'past')) : []),
      onnxValue('seqlens_k', 'int32', ['batch']),
      onnxValue('total_sequence_length', 'int32', []),
    ],
    output: [flat('output', heads), kept('present_key', 'keys'), kept('present_value', 'keys')],
  });
  return modelBytes(graph);
}

/** MultiHeadAttention: query, key, value [1, T, H·d] → output [1, T, H·d]. */
export function multiHeadModel({ heads, headDim }: Sizes): Promise<Uint8Array> {
  const flat = (name: string) => onnxValue(name, 'float', [1, 'rows', heads * headDim]);
  const inputs = ['query', 'key', 'value'];
  const attributes = { num_heads: BigInt(heads), unidirectional: 1n };
  const graph = onnxGraph('attention', {
    node: [onnxNode('MultiHeadAttention', inputs, ['output'], { domain: 'com.microsoft', attributes })],
    input: inputs.map(flat),
    output: [flat('output')],
  });
  return modelBytes(graph);
}

function modelBytes(graph: ReturnType<typeof onnxGraph>): Promise<Uint8Array> {
  const proto = onnxModel(graph, { '': 17, 'com.microsoft': 1 }, { irVersion: 8 });
  return onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
}
