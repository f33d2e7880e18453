// Reads ONNX node test cases (model.onnx and TensorProto files) with the few messages of onnx.proto they use.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';

// Field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
const { root } = protobuf.parse(`
  syntax = "proto2";
  message TensorProto { repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9; }
  message AttributeProto { optional string name = 1; optional float f = 2; optional int64 i = 3; }
  message NodeProto {
    repeated string input = 1; repeated string output = 2; optional string op_type = 4; repeated AttributeProto attribute = 5;
  }
  message GraphProto { repeated NodeProto node = 1; }
  message ModelProto { optional GraphProto graph = 7; }
`);

export interface OnnxTensor {
  readonly dims: readonly number[];
  readonly values: Float64Array;
}

export interface OnnxCase {
  readonly operator: string;
  readonly attributes: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, OnnxTensor>>;
  readonly outputs: Readonly<Record<string, OnnxTensor>>;
}

interface RawTensor {
  readonly dims: number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

interface Model {
  readonly graph: {
    readonly node: readonly {
      readonly opType: string;
      readonly input?: readonly string[];
      readonly output?: readonly string[];
      readonly attribute?: readonly { readonly name: string; readonly f?: number; readonly i?: number }[];
    }[];
  };
}

function decode(message: string, file: string): unknown {
  const type = root.lookupType(message);
  return type.toObject(type.decode(readFileSync(file)), { longs: Number, arrays: true });
}

/** Little-endian raw data of the types the cases use: 1 is float32, 7 is int64. */
function readTensor(file: string): OnnxTensor {
  const { dims, dataType, rawData } = decode('TensorProto', file) as RawTensor;
  const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
  const readers: Record<number, readonly [number, (at: number) => number]> = {
    1: [4, (at) => view.getFloat32(at, true)],
    7: [8, (at) => Number(view.getBigInt64(at, true))],
  };
  const reader = readers[dataType];
  if (!reader) throw new Error(`${file}: data type ${dataType} is not read here`);
  const [size, read] = reader;
  return { dims, values: Float64Array.from({ length: rawData.byteLength / size }, (_, i) => read(i * size)) };
}

/** The one node of a case, its attributes, and data set 0 by the names the node gives its inputs and outputs. */
export function readOnnxCase(directory: string): OnnxCase {
  const node = (decode('ModelProto', join(directory, 'model.onnx')) as Model).graph.node[0]!;
  const tensors = (kind: string, names: readonly string[] = []): Record<string, OnnxTensor> =>
    Object.fromEntries(
      names.map((name, i) => [name, readTensor(join(directory, 'test_data_set_0', `${kind}_${i}.pb`))]),
    );
  return {
    operator: node.opType,
    attributes: Object.fromEntries((node.attribute ?? []).map(({ name, f, i }) => [name, f ?? i ?? 0])),
    inputs: tensors('input', node.input),
    outputs: tensors('output', node.output),
  };
}
