// Element types of the values between nodes: pieces declare their inputs, and graphs seldom say what lies inside them.
import { attributeOf, tensorTypeOf } from '../model/build.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import type { GraphProto, NodeProto, TensorProto } from '../model/types.ts';

const { int64, bool, float, float16, int32, uint8 } = DATA_TYPES;

/** Operators whose outputs have one type whatever goes in. */
const FIXED: Readonly<Record<string, number>> = {
  Shape: int64,
  Size: int64,
  ArgMax: int64,
  ArgMin: int64,
  NonZero: int64,
  Equal: bool,
  Less: bool,
  LessOrEqual: bool,
  Greater: bool,
  GreaterOrEqual: bool,
  And: bool,
  Or: bool,
  Xor: bool,
  Not: bool,
  IsNaN: bool,
  IsInf: bool,
  MatMulInteger: int32,
  ConvInteger: int32,
};

/** Input whose type the first output has, where that is not the first. */
const LIKE: Readonly<Record<string, number>> = {
  Where: 1,
  DequantizeLinear: 1,
  EmbedLayerNormalization: 2,
  GatherBlockQuantized: 2,
};

/** Types of all values, those that the graph declares first. A value whose type is not known is left out. */
export function inferTypes(graph: GraphProto, outer?: ReadonlyMap<string, number>): Map<string, number> {
  const types = new Map(outer);
  for (const { name, dataType } of graph.initializer) types.set(name, dataType);
  for (const value of [...graph.input, ...graph.valueInfo, ...graph.output]) {
    const type = tensorTypeOf(value);
    if (type && type.elemType !== 0) types.set(value.name, type.elemType);
  }
  const declared = new Set(types.keys());
  for (const node of graph.node) {
    node.output.forEach((name, i) => {
      if (name === '' || declared.has(name)) return;
      const type = typeOf(node, i, types);
      if (type !== undefined) types.set(name, type);
    });
  }
  return types;
}

function typeOf(node: NodeProto, output: number, types: ReadonlyMap<string, number>): number | undefined {
  const input = (index: number) => types.get(node.input[index] ?? '');
  const { opType } = node;
  const fixed = FIXED[opType];
  if (fixed !== undefined) return fixed;
  switch (opType) {
    case 'Cast':
      return Number(attributeOf(node, 'to') ?? 0) || undefined;
    case 'Constant':
      return constantType(node);
    case 'ConstantOfShape':
      return (attributeOf(node, 'value') as TensorProto | undefined)?.dataType ?? float;
    case 'If':
      return branchType(node, output, types);
    case 'TopK':
    case 'Unique':
    case 'DynamicQuantizeLinear':
    case 'QuantizeLinear':
      return quantizing(node, output, input);
    case 'MaxPool':
    case 'Loop':
    case 'Scan':
      return output === 0 && opType === 'MaxPool' ? input(0) : undefined;
    case 'GroupQueryAttention':
    case 'Dropout':
      return opType === 'Dropout' && output === 1 ? bool : input(0);
    case 'LayerNormalization':
    case 'SimplifiedLayerNormalization':
      return output === 0 ? input(0) : float;
    case 'SkipLayerNormalization':
    case 'SkipSimplifiedLayerNormalization':
      return output === 0 || output === 3 ? input(0) : float;
    case 'EmbedLayerNormalization':
      return output === 1 ? int32 : input(2);
    default:
      return input(LIKE[opType] ?? 0);
  }
}

function constantType(node: NodeProto): number | undefined {
  const [attribute] = node.attribute;
  if (attribute?.t) return attribute.t.dataType;
  if (attribute?.name.startsWith('value_int')) return int64;
  return attribute?.name.startsWith('value_float') ? float : undefined;
}

function branchType(node: NodeProto, output: number, types: ReadonlyMap<string, number>): number | undefined {
  const branch = attributeOf(node, 'then_branch') as GraphProto | undefined;
  const value = branch?.output[output];
  if (!branch || !value) return undefined;
  return inferTypes(branch, types).get(value.name);
}

function quantizing(
  { opType }: NodeProto,
  output: number,
  input: (index: number) => number | undefined,
): number | undefined {
  if (opType === 'QuantizeLinear') return input(2) ?? uint8;
  if (opType === 'DynamicQuantizeLinear') return output === 1 ? float : uint8;
  return output === 0 ? input(0) : int64;
}

/** Whether values of a type are what attention computes with. */
export function isFloat(type: number | undefined): boolean {
  return type === float || type === float16 || type === DATA_TYPES.bfloat16 || type === DATA_TYPES.double;
}
