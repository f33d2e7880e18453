// A model of one GroupQueryAttention node in ONNX's protobuf, written by hand: no ONNX writer is needed for one node.

type Bytes = number[];

function varint(value: number): Bytes {
  const out: Bytes = [];
  let rest = value;
  do {
    out.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return out;
}

const integer = (field: number, value: number): Bytes => [...varint(field * 8), ...varint(value)];
const message = (field: number, content: Bytes): Bytes => [
  ...varint(field * 8 + 2),
  ...varint(content.length),
  ...content,
];
const text = (field: number, value: string): Bytes => message(field, [...new TextEncoder().encode(value)]);

/** ONNX's numbers of element types. */
const TYPES = { float16: 10, int32: 6 } as const;

function valueInfo(field: number, name: string, type: keyof typeof TYPES, extents: readonly number[]): Bytes {
  const shape = extents.flatMap((extent) => message(1, integer(1, extent)));
  return message(field, [
    ...text(1, name),
    ...message(2, message(1, [...integer(1, TYPES[type]), ...message(2, shape)])),
  ]);
}

/** Attribute of an integer. */
function attribute(name: string, value: number): Bytes {
  return message(5, [...text(1, name), ...integer(3, value), ...integer(20, 2)]);
}

/** query [1, T, H·d], key and value [1, T, Hkv·d] → output [1, T, H·d], present_key and present_value. */
export function groupQueryAttentionModel({
  tokens,
  heads,
  kvHeads,
  headDim,
}: {
  tokens: number;
  heads: number;
  kvHeads: number;
  headDim: number;
}): Uint8Array {
  const inputs = ['query', 'key', 'value', '', '', 'seqlens_k', 'total_sequence_length'];
  const outputs = ['output', 'present_key', 'present_value'];
  const node = [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(4, 'GroupQueryAttention'),
    ...attribute('num_heads', heads),
    ...attribute('kv_num_heads', kvHeads),
    ...text(7, 'com.microsoft'),
  ];
  const graph = [
    ...message(1, node),
    ...text(2, 'attention'),
    ...valueInfo(11, 'query', 'float16', [1, tokens, heads * headDim]),
    ...valueInfo(11, 'key', 'float16', [1, tokens, kvHeads * headDim]),
    ...valueInfo(11, 'value', 'float16', [1, tokens, kvHeads * headDim]),
    ...valueInfo(11, 'seqlens_k', 'int32', [1]),
    ...valueInfo(11, 'total_sequence_length', 'int32', []),
    ...valueInfo(12, 'output', 'float16', [1, tokens, heads * headDim]),
    ...valueInfo(12, 'present_key', 'float16', [1, kvHeads, tokens, headDim]),
    ...valueInfo(12, 'present_value', 'float16', [1, kvHeads, tokens, headDim]),
  ];
  const opset = (domain: string, version: number): Bytes => message(8, [...text(1, domain), ...integer(2, version)]);
  return new Uint8Array([...integer(1, 9), ...message(7, graph), ...opset('', 17), ...opset('com.microsoft', 1)]);
}
