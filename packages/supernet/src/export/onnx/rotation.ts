// Rotary position embedding in a graph: tables of cos and sin, stored or computed, and the rotation where no operator has it inside.
import { layerRope, type ModelConfig, type RopeConfig } from '@hip/checkpoints';
import { floatBytes, onnxGraphOf, type OnnxGraph } from './graph.ts';
import { lazy } from './weights.ts';

/** cos and sin [rows, pairs] of positions 0, 1, …, in the graph's float type. */
export interface Rotation {
  readonly cos: string;
  readonly sin: string;
  /** Pairs of channels that are rotated: channel i with i + pairs. */
  readonly pairs: number;
}

/**
 * Rotation by layer. Tables are stored for `rows` positions; those of dynamic NTK scaling, which change with the length, are computed
 * for `total` positions (int64 scalar).
 */
export function rotations(
  graph: OnnxGraph,
  config: ModelConfig,
  rows: number,
  total: string,
): (layer: number) => Rotation | undefined {
  const made = new Map<RopeConfig, Rotation>();
  return (layer) => {
    const rope = layerRope(config, layer);
    if (!rope) return undefined;
    let found = made.get(rope);
    if (!found) {
      const suffix = made.size === 0 ? '' : `_${made.size}`;
      const pairs = rope.inverseFrequencies.length;
      const tables = rope.dynamic
        ? dynamicTables(graph, rope, config.headSize, total)
        : storedTables(graph, rope, rows, suffix, total);
      found = { ...tables, pairs };
      made.set(rope, found);
    }
    return found;
  };
}

/** Rows of tables that are stored. */
function table(rope: RopeConfig, frequencies: readonly number[], rows: number, of: (angle: number) => number) {
  const pairs = frequencies.length;
  const values = new Float32Array(rows * pairs);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < pairs; i++) {
      // Angles as float32, as models were trained with.
      values[row * pairs + i] = of(Math.fround(row * Math.fround(frequencies[i] as number))) * rope.attentionFactor;
    }
  }
  return values;
}

function storedTables(
  graph: OnnxGraph,
  rope: RopeConfig,
  rows: number,
  suffix: string,
  total: string,
): { cos: string; sin: string } {
  const pairs = rope.inverseFrequencies.length;
  const size = rows * pairs * (graph.type === 'float' ? 4 : 2);
  const stored = (kind: 'cos' | 'sin', frequencies: readonly number[], which: string): string =>
    graph.weight(
      `${kind}_cache${which}${suffix}`,
      graph.type,
      [rows, pairs],
      lazy(size, async () => floatBytes(table(rope, frequencies, rows, Math[kind]), graph.type)),
    );
  const plain = (kind: 'cos' | 'sin') => stored(kind, rope.inverseFrequencies, '');
  if (!rope.long) return { cos: plain('cos'), sin: plain('sin') };
  const { beyond, inverseFrequencies } = rope.long;
  const isLong = graph.op('Greater', [total, graph.int(beyond)]);
  const chosen = (kind: 'cos' | 'sin'): string =>
    graph.op('If', [isLong], {
      then_branch: onnxGraphOf(stored(kind, inverseFrequencies, '_long'), graph.type, [rows, pairs]),
      else_branch: onnxGraphOf(plain(kind), graph.type, [rows, pairs]),
    });
  return { cos: chosen('cos'), sin: chosen('sin') };
}

/** Dynamic NTK scaling stretches θ with the length: θ^(−2i/d) · stretch^(−2i/(d−2)). */
function dynamicTables(
  graph: OnnxGraph,
  rope: RopeConfig,
  headSize: number,
  total: string,
): { cos: string; sin: string } {
  const { factor, maxPositions } = rope.dynamic as NonNullable<RopeConfig['dynamic']>;
  const tokens = graph.op('Max', [graph.op('Cast', [total], { to: 1n }), graph.float32(maxPositions)]);
  const share = graph.op('Mul', [tokens, graph.float32(factor / maxPositions)]);
  const stretch = graph.op('Sub', [share, graph.float32(factor - 1)]);
  const exponents = rope.inverseFrequencies.map((_, i) => (-2 * i) / (headSize - 2));
  const powers = graph.op('Pow', [stretch, graph.float32(exponents)]);
  const frequencies = graph.op('Mul', [graph.float32(rope.inverseFrequencies), powers]);
  const rows = graph.op('Cast', [graph.op('Range', [graph.int(0), total, graph.int(1)])], { to: 1n });
  const angles = graph.op('Mul', [graph.op('Unsqueeze', [rows, graph.int([1])]), frequencies]);
  const made = (type: 'Cos' | 'Sin'): string => {
    const values = graph.op('Mul', [graph.op(type, [angles]), graph.float32(rope.attentionFactor)]);
    return graph.type === 'float' ? values : graph.op('Cast', [values], { to: 10n });
  };
  return { cos: made('Cos'), sin: made('Sin') };
}

/** Rotates x [B, T, H, d] by tables of its positions ([T] or [B, T] int64). */
export function rotateNodes(
  graph: OnnxGraph,
  x: string,
  { cos, sin, pairs }: Rotation,
  positions: string,
  headSize: number,
): string {
  const rows = (values: string): string =>
    graph.op('Unsqueeze', [graph.op('Gather', [values, positions]), graph.int([-2])]);
  const [c, s] = [rows(cos), rows(sin)];
  const part = (from: number, to: number): string =>
    graph.op('Slice', [x, graph.int([from]), graph.int([to]), graph.int([3])]);
  const [low, high] = [part(0, pairs), part(pairs, 2 * pairs)];
  const turned = [
    graph.op('Sub', [graph.op('Mul', [low, c]), graph.op('Mul', [high, s])]),
    graph.op('Add', [graph.op('Mul', [high, c]), graph.op('Mul', [low, s])]),
  ];
  const rest = 2 * pairs < headSize ? [part(2 * pairs, headSize)] : [];
  return graph.op('Concat', [...turned, ...rest], { axis: 3n });
}
