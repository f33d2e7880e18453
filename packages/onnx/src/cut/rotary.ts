// Tables of cosines and sines stay in the first piece: it gathers the rows of a call's positions, and later pieces rotate by those.
import { attributeOf, onnxNode } from '../model/build.ts';
import type { GraphProto, NodeProto } from '../model/types.ts';
import { constant, OWN } from '../graph/defaults.ts';
import { isContrib, isOnnx, type GraphView } from '../graph/view.ts';

/** Positions of the tokens of a call, int64 [B, S]: an input that the session feeds. */
export const POSITIONS = `${OWN}.positions`;
/** Rows of what was gathered, 0 … B·S − 1 as [B, S]: an input that the session feeds. */
export const ROWS = `${OWN}.rows`;

/** A table's rows, as operands of a rotation. */
export interface RotaryTable {
  readonly cos: string;
  readonly sin: string;
  readonly positions: string;
  /** Channels that are rotated; 0: not known, all. */
  readonly channels: number;
}

/** The tables of a graph. */
export class RotaryRows {
  readonly #view: GraphView;
  readonly #tables = new Map<string, RotaryTable>();
  readonly #nodes: NodeProto[] = [];

  constructor(view: GraphView) {
    this.#view = view;
  }

  /** The nodes that gather. */
  get nodes(): readonly NodeProto[] {
    return this.#nodes;
  }

  /** The rows of two tables. @param positions - int64 [B, S]; undefined: what the session counts */
  of(cos: string, sin: string, positions = POSITIONS): RotaryTable {
    const key = [cos, sin, positions].join('\n');
    let table = this.#tables.get(key);
    if (!table) {
      const prefix = `${OWN}.rotary.${this.#tables.size}`;
      const flat = `${prefix}.positions`;
      this.#nodes.push(constant(`${prefix}.flat`, [-1n]));
      this.#nodes.push(onnxNode('Reshape', [positions, `${prefix}.flat`], [flat]));
      this.#nodes.push(onnxNode('Gather', [cos, flat], [`${prefix}.cos`]));
      this.#nodes.push(onnxNode('Gather', [sin, flat], [`${prefix}.sin`]));
      const half = lastDim(this.#view, cos);
      table = { cos: `${prefix}.cos`, sin: `${prefix}.sin`, positions: ROWS, channels: 2 * (half ?? 0) };
      this.#tables.set(key, table);
    }
    return table;
  }

  /** A rotation node of the graph, by rows; undefined where it reads no table by positions. */
  rewritten(node: NodeProto): NodeProto | undefined {
    const isContribOne = isContrib(node, 'RotaryEmbedding');
    if (!isContribOne && !isOnnx(node, 'RotaryEmbedding')) return undefined;
    const [positions, cos, sin] = (isContribOne ? [1, 2, 3] : [3, 1, 2]).map((i) => node.input[i] ?? '') as [
      string,
      string,
      string,
    ];
    // Only tables [positions, channels / 2] and positions [B, S]: those of a single offset mean something else.
    const isTable = this.#view.dims(cos)?.length === 2 && this.#view.initializers.has(cos);
    if (!isTable || this.#view.dims(positions)?.length !== 2) return undefined;
    const table = this.of(cos, sin, positions);
    const input = [...node.input];
    const order = isContribOne ? [table.positions, table.cos, table.sin] : [table.cos, table.sin, table.positions];
    order.forEach((value, i) => (input[i + 1] = value));
    return { ...node, input };
  }
}

/** The last dimension of a table: of a weight, or of what a branch gives. */
function lastDim(view: GraphView, name: string): number | undefined {
  const known = view.dims(name)?.at(-1);
  if (typeof known === 'number') return known;
  const node = view.maker(name);
  if (!isOnnx(node, 'If')) return undefined;
  const branch = attributeOf(node, 'then_branch') as GraphProto | undefined;
  const output = branch?.output[node.output.indexOf(name)]?.name;
  const tensor =
    branch?.initializer.find((each) => each.name === output) ??
    branch?.node.find((each) => each.output[0] === output)?.attribute.find(({ t }) => t)?.t;
  if (tensor) return Number(tensor.dims.at(-1));
  return output === undefined ? undefined : outerDim(view, branch, output);
}

/** A branch that hands on a table of the graph around it. */
function outerDim(view: GraphView, branch: GraphProto | undefined, output: string): number | undefined {
  const maker = branch?.node.find((each) => each.output[0] === output);
  const dim = view.dims(isOnnx(maker, 'Identity') ? (maker.input[0] ?? '') : output)?.at(-1);
  return typeof dim === 'number' ? dim : undefined;
}
