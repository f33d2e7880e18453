// ONNX's public schema as a descriptor for the protobuf library: field numbers and wire types of onnx-ml.proto. Fields that are not
// listed (training, device configurations) are kept as they are by the library.
import { create, createFileRegistry } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  StringStringEntryProto,
  TensorProto,
  TypeProto,
  ValueInfoProto,
} from './types.ts';

const SCALARS: Readonly<Record<string, Type>> = {
  float: Type.FLOAT,
  double: Type.DOUBLE,
  int32: Type.INT32,
  int64: Type.INT64,
  uint64: Type.UINT64,
  string: Type.STRING,
  bytes: Type.BYTES,
};

/** `name: 'number type'`; `*` after the type: repeated, `|`: an alternative of the message's only oneof, `value`. */
type Fields = Readonly<Record<string, string>>;

const TEXTS = '*StringStringEntryProto';

const MESSAGES: Readonly<Record<string, Fields>> = {
  StringStringEntryProto: { key: '1 string', value: '2 string' },
  AttributeProto: {
    name: '1 string',
    f: '2 float',
    i: '3 int64',
    s: '4 bytes',
    t: '5 TensorProto',
    g: '6 GraphProto',
    floats: '7 *float',
    ints: '8 *int64',
    strings: '9 *bytes',
    tensors: '10 *TensorProto',
    graphs: '11 *GraphProto',
    doc_string: '13 string',
    tp: '14 TypeProto',
    type_protos: '15 *TypeProto',
    type: '20 int32',
    ref_attr_name: '21 string',
    sparse_tensor: '22 SparseTensorProto',
    sparse_tensors: '23 *SparseTensorProto',
  },
  ValueInfoProto: { name: '1 string', type: '2 TypeProto', doc_string: '3 string', metadata_props: `4 ${TEXTS}` },
  NodeProto: {
    input: '1 *string',
    output: '2 *string',
    name: '3 string',
    op_type: '4 string',
    attribute: '5 *AttributeProto',
    doc_string: '6 string',
    domain: '7 string',
    overload: '8 string',
    metadata_props: `9 ${TEXTS}`,
  },
  ModelProto: {
    ir_version: '1 int64',
    producer_name: '2 string',
    producer_version: '3 string',
    domain: '4 string',
    model_version: '5 int64',
    doc_string: '6 string',
    graph: '7 GraphProto',
    opset_import: '8 *OperatorSetIdProto',
    metadata_props: `14 ${TEXTS}`,
    functions: '25 *FunctionProto',
  },
  TensorAnnotation: { tensor_name: '1 string', quant_parameter_tensor_names: `2 ${TEXTS}` },
  GraphProto: {
    node: '1 *NodeProto',
    name: '2 string',
    initializer: '5 *TensorProto',
    doc_string: '10 string',
    input: '11 *ValueInfoProto',
    output: '12 *ValueInfoProto',
    value_info: '13 *ValueInfoProto',
    quantization_annotation: '14 *TensorAnnotation',
    sparse_initializer: '15 *SparseTensorProto',
    metadata_props: `16 ${TEXTS}`,
  },
  TensorProto: {
    dims: '1 *int64',
    data_type: '2 int32',
    float_data: '4 *float',
    int32_data: '5 *int32',
    string_data: '6 *bytes',
    int64_data: '7 *int64',
    name: '8 string',
    raw_data: '9 bytes',
    double_data: '10 *double',
    uint64_data: '11 *uint64',
    doc_string: '12 string',
    external_data: `13 ${TEXTS}`,
    data_location: '14 int32',
    metadata_props: `16 ${TEXTS}`,
  },
  SparseTensorProto: { values: '1 TensorProto', indices: '2 TensorProto', dims: '3 *int64' },
  TensorShapeProto: { dim: '1 *TensorShapeProto.Dimension' },
  'TensorShapeProto.Dimension': { dim_value: '1 |int64', dim_param: '2 |string', denotation: '3 string' },
  TypeProto: {
    tensor_type: '1 |TypeProto.Tensor',
    sequence_type: '4 |TypeProto.Sequence',
    map_type: '5 |TypeProto.Map',
    denotation: '6 string',
    opaque_type: '7 |TypeProto.Opaque',
    sparse_tensor_type: '8 |TypeProto.SparseTensor',
    optional_type: '9 |TypeProto.Optional',
  },
  'TypeProto.Tensor': { elem_type: '1 int32', shape: '2 TensorShapeProto' },
  'TypeProto.Sequence': { elem_type: '1 TypeProto' },
  'TypeProto.Map': { key_type: '1 int32', value_type: '2 TypeProto' },
  'TypeProto.Opaque': { domain: '1 string', name: '2 string' },
  'TypeProto.SparseTensor': { elem_type: '1 int32', shape: '2 TensorShapeProto' },
  'TypeProto.Optional': { elem_type: '1 TypeProto' },
  OperatorSetIdProto: { domain: '1 string', version: '2 int64' },
  FunctionProto: {
    name: '1 string',
    input: '4 *string',
    output: '5 *string',
    attribute: '6 *string',
    node: '7 *NodeProto',
    doc_string: '8 string',
    opset_import: '9 *OperatorSetIdProto',
    domain: '10 string',
    attribute_proto: '11 *AttributeProto',
    value_info: '12 *ValueInfoProto',
    overload: '13 string',
    metadata_props: `14 ${TEXTS}`,
  },
};

function fieldOf([name, text]: [string, string]) {
  const [, number = '', mark = '', type = ''] = /^(\d+) ([*|]?)(\S+)$/.exec(text) ?? [];
  const scalar = SCALARS[type];
  return {
    name,
    number: Number(number),
    label: mark === '*' ? Label.REPEATED : Label.OPTIONAL,
    type: scalar ?? Type.MESSAGE,
    ...(scalar === undefined && { typeName: `.onnx.${type}` }),
    ...(mark === '|' && { oneofIndex: 0 }),
  };
}

function messageOf(name: string, fields: Fields): object {
  const nested = Object.entries(MESSAGES).filter(([other]) => other.startsWith(`${name}.`));
  return {
    name: name.replace(/^.*\./, ''),
    field: Object.entries(fields).map(fieldOf),
    nestedType: nested.map(([other, inner]) => messageOf(other, inner)),
    oneofDecl: Object.values(fields).some((text) => text.includes('|')) ? [{ name: 'value' }] : [],
  };
}

const registry = /* @__PURE__ */ createFileRegistry(
  /* @__PURE__ */ create(FileDescriptorProtoSchema, {
    name: 'onnx-ml.proto',
    package: 'onnx',
    // Fields of proto2 and proto3 look the same on the wire; proto3 leaves out zeros, which proto2 reads as such.
    syntax: 'proto3',
    messageType: Object.entries(MESSAGES)
      .filter(([name]) => !name.includes('.'))
      .map(([name, fields]) => messageOf(name, fields)),
  }),
  () => undefined,
);

function schema<Shape extends { readonly $typeName: string }>(name: Shape['$typeName']) {
  return registry.getMessage(name) as unknown as GenMessage<Shape & { $typeName: Shape['$typeName'] }>;
}

export const ModelSchema = /* @__PURE__ */ schema<ModelProto>('onnx.ModelProto');
export const GraphSchema = /* @__PURE__ */ schema<GraphProto>('onnx.GraphProto');
export const NodeSchema = /* @__PURE__ */ schema<NodeProto>('onnx.NodeProto');
export const TensorSchema = /* @__PURE__ */ schema<TensorProto>('onnx.TensorProto');
export const AttributeSchema = /* @__PURE__ */ schema<AttributeProto>('onnx.AttributeProto');
export const ValueInfoSchema = /* @__PURE__ */ schema<ValueInfoProto>('onnx.ValueInfoProto');
export const TypeSchema = /* @__PURE__ */ schema<TypeProto>('onnx.TypeProto');
export const FunctionSchema = /* @__PURE__ */ schema<FunctionProto>('onnx.FunctionProto');
export const OperatorSetSchema = /* @__PURE__ */ schema<OperatorSetIdProto>('onnx.OperatorSetIdProto');
export const EntrySchema = /* @__PURE__ */ schema<StringStringEntryProto>('onnx.StringStringEntryProto');
