// The messages of ONNX's public schema (onnx-ml.proto, IR version 13) as TypeScript: names as protobuf's JSON mapping has them.
import type { Message } from '@bufbuild/protobuf';

export type StringStringEntryProto = Message<'onnx.StringStringEntryProto'> & { key: string; value: string };

/** One alternative of a `oneof`, or none. */
type OneOf<Cases extends Record<string, unknown>> =
  | { [Case in keyof Cases]: { case: Case; value: Cases[Case] } }[keyof Cases]
  | { case: undefined; value?: undefined };

export type DimensionProto = Message<'onnx.TensorShapeProto.Dimension'> & {
  /** A number, or the name of a size that is only known when the model runs. */
  value: OneOf<{ dimValue: bigint; dimParam: string }>;
  denotation: string;
};
export type TensorShapeProto = Message<'onnx.TensorShapeProto'> & { dim: DimensionProto[] };
export type TensorTypeProto = Message<'onnx.TypeProto.Tensor'> & {
  /** Of {@link DATA_TYPES}. */
  elemType: number;
  /** Absent where not even the rank is known. */
  shape?: TensorShapeProto;
};
export type SparseTensorTypeProto = Message<'onnx.TypeProto.SparseTensor'> & {
  elemType: number;
  shape?: TensorShapeProto;
};
export type SequenceTypeProto = Message<'onnx.TypeProto.Sequence'> & { elemType?: TypeProto };
export type OptionalTypeProto = Message<'onnx.TypeProto.Optional'> & { elemType?: TypeProto };
export type MapTypeProto = Message<'onnx.TypeProto.Map'> & { keyType: number; valueType?: TypeProto };
export type OpaqueTypeProto = Message<'onnx.TypeProto.Opaque'> & { domain: string; name: string };
export type TypeProto = Message<'onnx.TypeProto'> & {
  value: OneOf<{
    tensorType: TensorTypeProto;
    sequenceType: SequenceTypeProto;
    mapType: MapTypeProto;
    sparseTensorType: SparseTensorTypeProto;
    optionalType: OptionalTypeProto;
    opaqueType: OpaqueTypeProto;
  }>;
  denotation: string;
};
export type ValueInfoProto = Message<'onnx.ValueInfoProto'> & {
  name: string;
  type?: TypeProto;
  docString: string;
  metadataProps: StringStringEntryProto[];
};

export type TensorProto = Message<'onnx.TensorProto'> & {
  dims: bigint[];
  /** Of {@link DATA_TYPES}. */
  dataType: number;
  floatData: number[];
  int32Data: number[];
  stringData: Uint8Array[];
  int64Data: bigint[];
  name: string;
  docString: string;
  /** Empty in an initializer of an opened model: `model.weight(tensor)` reads it. */
  rawData: Uint8Array;
  doubleData: number[];
  uint64Data: bigint[];
  externalData: StringStringEntryProto[];
  /** 1: the bytes are in another file. */
  dataLocation: number;
  metadataProps: StringStringEntryProto[];
};
export type SparseTensorProto = Message<'onnx.SparseTensorProto'> & {
  values?: TensorProto;
  indices?: TensorProto;
  dims: bigint[];
};

export type AttributeProto = Message<'onnx.AttributeProto'> & {
  name: string;
  /** In functions: the attribute of the function that gives the value. */
  refAttrName: string;
  docString: string;
  /** Of {@link ATTRIBUTE_TYPES}. */
  type: number;
  f: number;
  i: bigint;
  s: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  sparseTensor?: SparseTensorProto;
  tp?: TypeProto;
  floats: number[];
  ints: bigint[];
  strings: Uint8Array[];
  tensors: TensorProto[];
  graphs: GraphProto[];
  sparseTensors: SparseTensorProto[];
  typeProtos: TypeProto[];
};
export type NodeProto = Message<'onnx.NodeProto'> & {
  /** An empty name: the optional input is left out. */
  input: string[];
  output: string[];
  name: string;
  opType: string;
  /** Empty for ai.onnx. */
  domain: string;
  overload: string;
  attribute: AttributeProto[];
  docString: string;
  metadataProps: StringStringEntryProto[];
};
export type TensorAnnotation = Message<'onnx.TensorAnnotation'> & {
  tensorName: string;
  quantParameterTensorNames: StringStringEntryProto[];
};
export type GraphProto = Message<'onnx.GraphProto'> & {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  sparseInitializer: SparseTensorProto[];
  docString: string;
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
  quantizationAnnotation: TensorAnnotation[];
  metadataProps: StringStringEntryProto[];
};
export type OperatorSetIdProto = Message<'onnx.OperatorSetIdProto'> & { domain: string; version: bigint };
export type FunctionProto = Message<'onnx.FunctionProto'> & {
  name: string;
  domain: string;
  overload: string;
  input: string[];
  output: string[];
  attribute: string[];
  attributeProto: AttributeProto[];
  node: NodeProto[];
  docString: string;
  opsetImport: OperatorSetIdProto[];
  valueInfo: ValueInfoProto[];
  metadataProps: StringStringEntryProto[];
};
export type ModelProto = Message<'onnx.ModelProto'> & {
  irVersion: bigint;
  opsetImport: OperatorSetIdProto[];
  producerName: string;
  producerVersion: string;
  domain: string;
  modelVersion: bigint;
  docString: string;
  graph?: GraphProto;
  metadataProps: StringStringEntryProto[];
  functions: FunctionProto[];
};
