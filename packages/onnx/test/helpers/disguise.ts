// A graph that says the same in other words: names, order, nodes that change nothing, constants elsewhere. From a seed.
import { onnxModelBytes, onnxNode, onnxTensor, openOnnxModel, type OnnxModel } from '../../src/model.ts';
import { DATA_TYPES } from '../../src/model/data-types.ts';
import type { GraphProto, NodeProto } from '../../src/model/types.ts';
import { graphsOf } from '../../src/model/walk.ts';
import { inferTypes } from '../../src/graph/types.ts';

/** Numbers in [0, 1) from a seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is done to a graph. */
export interface Disguise {
  readonly seed: number;
  /** Part of the values that pass through nodes which change nothing. @defaultValue 1/3 */
  readonly passing?: number;
  /** Which nodes those are. @defaultValue copies */
  readonly kinds?: readonly PassKind[];
  /** Where small constants are. @defaultValue weights */
  readonly constants?: 'weights' | 'nodes';
  /** Opsets of ai.onnx on top of the graph's. @defaultValue 0 */
  readonly opsetsMore?: number;
}

/**
 * `cast`: to the type that it has; `reshape`: to the shape that it has; `axes`: an axis more, and away again; `slice`: from the first to the
 * last; `scale`: a product with 1; `unknown`: the same in a way that is not looked
 * through.
 */
export type PassKind = 'identity' | 'cast' | 'reshape' | 'axes' | 'dropout' | 'concat' | 'slice' | 'scale' | 'unknown';

/** Every name but those of inputs and outputs is another one, in branches too. */
export function rename(graph: GraphProto, known: Map<string, string>): void {
  const own = (name: string): string => {
    if (name === '') return '';
    if (!known.has(name)) known.set(name, `v${known.size}`);
    return known.get(name)!;
  };
  for (const value of [...graph.input, ...graph.output, ...graph.valueInfo, ...graph.initializer])
    value.name = own(value.name);
  graph.name = '';
  for (const node of graph.node) {
    node.name = '';
    node.docString = '';
    node.metadataProps = [];
    node.input = node.input.map(own);
    node.output = node.output.map(own);
    for (const inner of graphsOf(node)) rename(inner, known);
  }
}

/** A constant that is a node becomes a weight. */
function constantsAsWeights(graph: GraphProto): void {
  graph.node = graph.node.filter((node) => {
    const tensor = node.opType === 'Constant' && node.attribute.find(({ name }) => name === 'value')?.t;
    if (!tensor) return true;
    tensor.name = node.output[0]!;
    graph.initializer.push(tensor);
    return false;
  });
}

/** A short weight becomes a node. */
async function weightsAsConstants(model: OnnxModel): Promise<void> {
  const { graph } = model;
  const isShort = ({ dims }: { readonly dims: readonly bigint[] }) => dims.reduce((a, b) => a * Number(b), 1) <= 512;
  const inputs = new Set(graph.input.map(({ name }) => name));
  for (const tensor of graph.initializer.filter((each) => isShort(each) && !inputs.has(each.name))) {
    const bytes = (await model.weight(tensor).read()).slice();
    const { name } = tensor;
    graph.initializer = graph.initializer.filter((each) => each !== tensor);
    Object.assign(tensor, { name: '', rawData: bytes, floatData: [], int64Data: [], int32Data: [], doubleData: [] });
    graph.node.push(onnxNode('Constant', [], [name], { attributes: { value: tensor } }));
  }
}

/** Not a scalar, which floats inside of a decoder hardly are. */
const isTensor = (type: number | undefined): boolean => type === DATA_TYPES.float || type === DATA_TYPES.float16;

/** Some values go through nodes that change nothing; attributes stand in another order. */
function passThrough(
  graph: GraphProto,
  opset: number,
  { passing = 1 / 3, kinds = ['identity'] }: Disguise,
  random: () => number,
): void {
  const isKept = new Set(graph.output.map(({ name }) => name));
  const types = inferTypes(graph);
  const added: NodeProto[] = [];
  const axis = (name: string) => {
    graph.initializer.push(onnxTensor(name, 'int64', [1], BigInt64Array.of(0n)));
    return name;
  };
  const pass = (name: string): void => {
    const before = `${name}.before`;
    const type = types.get(name);
    const kind = kinds[Math.floor(random() * kinds.length)]!;
    if (kind === 'cast' && type !== undefined)
      added.push(onnxNode('Cast', [before], [name], { attributes: { to: BigInt(type) } }));
    else if (kind === 'reshape')
      added.push(
        onnxNode('Shape', [before], [`${name}.shape`]),
        onnxNode('Reshape', [before, `${name}.shape`], [name]),
      );
    else if (kind === 'dropout' && isTensor(type)) added.push(onnxNode('Dropout', [before], [name]));
    else if (kind === 'concat' && isTensor(type))
      added.push(onnxNode('Concat', [before], [name], { attributes: { axis: 0n } }));
    else if (kind === 'slice' && isTensor(type)) {
      const ends = `${name}.end`;
      graph.initializer.push(onnxTensor(ends, 'int64', [1], BigInt64Array.of(2n ** 63n - 1n)));
      const at = axis(`${name}.axis`);
      added.push(onnxNode('Slice', [before, at, ends, at], [name]));
    } else if ((kind === 'scale' || kind === 'unknown') && type === DATA_TYPES.float) {
      const one = `${name}.one`;
      graph.initializer.push(onnxTensor(one, 'float', kind === 'scale' ? [] : [1], Float32Array.of(1)));
      added.push(onnxNode('Mul', [before, one], [name]));
    } else if (kind === 'axes' && opset >= 13) {
      const at = axis(`${name}.axis`);
      added.push(
        onnxNode('Unsqueeze', [before, at], [`${name}.more`]),
        onnxNode('Squeeze', [`${name}.more`, at], [name]),
      );
    } else added.push(onnxNode('Identity', [before], [name]));
  };
  for (const node of graph.node) {
    node.attribute.reverse();
    node.output = node.output.map((name, i) => {
      if (i > 0 || name === '' || isKept.has(name) || node.opType === 'Constant' || random() >= passing) return name;
      pass(name);
      return `${name}.before`;
    });
  }
  graph.node.push(...added);
}

/** The bytes of the graph in other words. @throws OnnxError as opening the model throws */
export async function disguised(path: string, disguise: Disguise): Promise<Uint8Array> {
  const random = generator(disguise.seed);
  const model = await openOnnxModel(path);
  const { proto, graph } = model;
  const ends = [...graph.input, ...graph.output].map(({ name }) => [name, name] as const);
  rename(graph, new Map(ends));
  if (disguise.constants === 'nodes') await weightsAsConstants(model);
  else constantsAsWeights(graph);
  const onnx = proto.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')!;
  passThrough(graph, Number(onnx.version), disguise, random);
  // Another order in which they can run is found when it is opened again.
  graph.node = graph.node
    .map((node) => [random(), node] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, node]) => node);
  graph.valueInfo = [];
  onnx.version += BigInt(disguise.opsetsMore ?? 0);
  Object.assign(proto, { producerName: '', producerVersion: '', irVersion: proto.irVersion < 10n ? 10n : 11n });
  const bytes = await onnxModelBytes({ proto, weight: (tensor) => model.weight(tensor) });
  await model.close();
  return bytes;
}
