// From the keys or values of an attention back to the new tokens' own: through scales, transposes and repeated heads, to the cache.
import type { NodeProto } from '../model/types.ts';
import { BSHD, refuse, type Axis, type Factor, type KnownShape, type Operand } from './site.ts';
import { intOf, intsOf, isContrib, isOnnx, type GraphView } from './view.ts';

/** Where keys or values come from. */
export interface Traced {
  /** Those of the new tokens. */
  readonly operand: Operand;
  readonly factors: readonly Factor[];
  /** What was passed on the way, the operand included. */
  readonly shapes: readonly KnownShape[];
  /** Heads are repeated on the way. */
  readonly isRepeated: boolean;
  /** What makes the tokens' own; undefined: an input of the graph. */
  readonly maker: NodeProto | undefined;
  /** The cache they are joined to. */
  readonly cache: { readonly past: string; readonly whole: string; readonly axes: readonly Axis[] } | undefined;
}

/** Follows a value back. @param owner - the attention, for messages @throws OnnxError `unsupported` */
export function traceTokens(view: GraphView, owner: NodeProto, operand: Operand): Traced {
  let { value, axes } = operand;
  const factors: Factor[] = [];
  const passed: Omit<KnownShape, 'isWhole'>[] = [];
  let isRepeated = false;
  const shapes = (isWhole: boolean) => passed.map((shape) => ({ ...shape, isWhole }));
  for (;;) {
    passed.push({ value, axes: isFour(axes) ? axes : ['B', 'S', 'D'] });
    const node = view.makers.get(value);
    if (isOnnx(node, 'Cast')) value = node.input[0]!;
    else if (isOnnx(node, 'Transpose') && isFour(axes)) {
      const perm = intsOf(node, 'perm');
      if (perm?.length !== 4)
        throw refuse(owner, `its keys or values pass a transpose of ${perm?.length ?? 'unknown'} axes`);
      const before: Axis[] = [];
      for (const [i, from] of perm.entries()) before[from] = axes[i]!;
      axes = before;
      value = node.input[0]!;
    } else if (isOnnx(node, 'Mul', 'Div') && scaled(view, node)) {
      const { tensor, factor } = scaled(view, node)!;
      factors.push(factor);
      value = tensor;
    } else if (isOnnx(node, 'Reshape')) {
      const step = reshaped(view, node, axes);
      if (!step) break;
      isRepeated ||= isOnnx(view.maker(node.input[0]), 'Expand');
      ({ value, axes } = step);
    } else if (isOnnx(node, 'Concat') && isFour(axes)) {
      const cache = joined(view, owner, node, axes);
      if (!cache) break;
      const added = { value: cache.added, axes, isWhole: false };
      return {
        operand: added,
        factors,
        shapes: [...shapes(true), added],
        isRepeated,
        maker: node,
        cache: { past: cache.past, whole: value, axes },
      };
    } else break;
  }
  const maker = view.makers.get(value);
  return { operand: { value, axes }, factors, shapes: shapes(false), isRepeated, maker, cache: undefined };
}

/** Values that queries are made from and that have their shape: before scales, transposes and rotations. */
export function queryShapes(view: GraphView, { value, axes }: Operand): readonly KnownShape[] {
  const shapes: KnownShape[] = [];
  let order: readonly Axis[] = isFour(axes) ? axes : ['B', 'S', 'D'];
  for (let name: string | undefined = value; name !== undefined && shapes.length < 16;) {
    shapes.push({ value: name, axes: order, isWhole: false });
    const node = view.makers.get(name);
    name = undefined;
    if (isOnnx(node, 'Transpose')) {
      const perm = intsOf(node, 'perm');
      if (perm?.length !== order.length) break;
      const before: Axis[] = [];
      for (const [i, from] of perm.entries()) before[from] = order[i]!;
      order = before;
      name = node.input[0];
    } else if (isOnnx(node, 'Cast', 'RotaryEmbedding') || isContrib(node, 'RotaryEmbedding')) name = node.input[0];
    else if (isOnnx(node, 'Mul', 'Div')) name = scaled(view, node)?.tensor ?? rotated(view, node)?.input[0];
    else if (isOnnx(node, 'Add')) name = rotated(view, view.maker(node.input[0]))?.input[0];
  }
  return shapes;
}

/** x · cos of a rotation. */
function rotated(view: GraphView, node: NodeProto | undefined): NodeProto | undefined {
  return isOnnx(node, 'Mul') && view.makers.has(node.input[0]!) ? node : undefined;
}

function isFour(axes: Operand['axes']): axes is readonly Axis[] {
  return Array.isArray(axes);
}

/** The tensor and the scalar of a product or quotient of both. */
export function scaled(view: GraphView, node: NodeProto): { tensor: string; factor: Factor } | undefined {
  const [a = '', b = ''] = node.input;
  if (isScalar(view, b)) return { tensor: a, factor: { value: b, divides: node.opType === 'Div' } };
  if (node.opType === 'Mul' && isScalar(view, a)) return { tensor: b, factor: { value: a, divides: false } };
  return undefined;
}

/** Whether a value has one element whatever the inputs: a constant, or made from constants and single sizes. */
export function isScalar(view: GraphView, name: string, depth = 0): boolean {
  const constant = view.constant(name);
  if (constant) return constant.values.length === 1;
  const node = view.maker(name);
  if (!node || depth > 16) return false;
  const inner = (index: number) => isScalar(view, node.input[index] ?? '', depth + 1);
  if (isOnnx(node, 'Sqrt', 'Cast', 'Neg', 'Reciprocal', 'Squeeze', 'Unsqueeze', 'Reshape')) return inner(0);
  if (isOnnx(node, 'Mul', 'Div', 'Add', 'Sub', 'Pow')) return inner(0) && inner(1);
  if (isOnnx(node, 'Gather')) return isOnnx(view.maker(node.input[0]), 'Shape') && inner(1);
  if (!isOnnx(node, 'Slice') || !isOnnx(view.maker(node.input[0]), 'Shape')) return false;
  const [start, end] = [view.scalar(node.input[1]), view.scalar(node.input[2])];
  return start !== undefined && end !== undefined && (end - start === 1 || (start === -1 && end > 2 ** 30));
}

/** Through a reshape that splits heads, or that ends repeating them. */
function reshaped(view: GraphView, node: NodeProto, axes: Operand['axes']): Operand | undefined {
  const source = node.input[0] ?? '';
  const maker = view.makers.get(source);
  const four = isFour(axes) ? axes : BSHD;
  if (isOnnx(maker, 'Expand')) {
    const unsqueeze = view.maker(maker.input[0]);
    const at = isOnnx(unsqueeze, 'Unsqueeze') && (view.scalar(unsqueeze.input[1]) ?? intsOf(unsqueeze, 'axes')?.[0]);
    if (!unsqueeze || typeof at !== 'number') return undefined;
    // Copies of a head lie side by side: the new axis follows that of the heads.
    return (at < 0 ? at + 5 : at) === four.indexOf('H') + 1 ? { value: unsqueeze.input[0]!, axes: four } : undefined;
  }
  if (isFour(axes)) return flattened(view, maker, axes);
  return isOnnx(maker, 'Transpose') && intsOf(maker, 'perm')?.length === 4 ? { value: source, axes: BSHD } : undefined;
}

/** Through a transpose of the last two axes, for which the first two were joined to one and are parted again. */
function flattened(view: GraphView, transpose: NodeProto | undefined, axes: readonly Axis[]): Operand | undefined {
  if (!isOnnx(transpose, 'Transpose') || intsOf(transpose, 'perm')?.join() !== '0,2,1') return undefined;
  const flat = view.maker(transpose.input[0]);
  if (!isOnnx(flat, 'Reshape')) return undefined;
  const constant = view.constant(flat.input[1])?.values;
  const sizes = view.maker(flat.input[1]);
  // [-1, rows, columns], as numbers or put together.
  const first = constant ? constant[0] : isOnnx(sizes, 'Concat') ? view.scalar(sizes.input[0]) : undefined;
  if (first !== -1 || (constant ?? sizes?.input)?.length !== 3) return undefined;
  const [a, b, c, d] = axes as readonly [Axis, Axis, Axis, Axis];
  return { value: flat.input[0]!, axes: [a, b, d, c] };
}

/** The two halves of a cache that is joined to new tokens; undefined where this joins something else. */
function joined(
  view: GraphView,
  owner: NodeProto,
  node: NodeProto,
  axes: readonly Axis[],
): { past: string; added: string } | undefined {
  const [past = '', added = ''] = node.input;
  if (!view.inputs.has(past)) return undefined;
  const axis = intOf(node, 'axis', 0);
  if (node.input.length !== 2 || axes[axis < 0 ? axis + 4 : axis] !== 'S') {
    throw refuse(owner, `its cache ${past} is joined along axis ${axis}, which is not that of the tokens`, { past });
  }
  return { past, added };
}
