// A model of one causal MultiHeadAttention node (com.microsoft, version 1): what onnxruntime is measured with on WebAssembly.
import { bytesWeight, onnxGraph, onnxModel, onnxModelBytes, onnxNode, onnxValue } from '@hip/onnx/model';
import type { Sizes } from './protocol.ts';

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
  const proto = onnxModel(graph, { '': 17, 'com.microsoft': 1 }, { irVersion: 8 });
  return onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
}
