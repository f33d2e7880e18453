// Relative positions in the scores (DeBERTa): which row of the table a query and a key look at, and what both say of it.
import type { RelativeAttention } from '@hip/checkpoints';
import { relativeRow } from '../../model/relative.ts';
import type { LayerContext, RelativeContext } from './context.ts';
import { layerNormNodes } from './functions.ts';
import type { OnnxGraph } from './graph.ts';
import { linearNodes } from './linear.ts';

/** Rows of the table by query and key [T, T], from the positions [T]; distances beyond the table's are its last ones. */
export function relativeRowNodes(graph: OnnxGraph, relative: RelativeAttention, positions: string): string {
  const most = Math.max(relative.maxDistance, relative.span) + 1;
  const rows = Array.from({ length: 2 * most + 1 }, (_, at) => relativeRow(relative, at - most));
  const down = graph.op('Unsqueeze', [positions, graph.int([1])]);
  const across = graph.op('Unsqueeze', [positions, graph.int([0])]);
  const distance = graph.op('Sub', [down, across]);
  const bounded = graph.op('Min', [graph.op('Max', [distance, graph.int(-most)]), graph.int(most)]);
  return graph.op('Gather', [graph.int(rows), graph.op('Add', [bounded, graph.int(most)])]);
}

/** The table, after its norm, and which rows are looked at. */
export function relativeNodes(context: LayerContext, relative: RelativeAttention): RelativeContext {
  const { graph, weights, positions } = context;
  const stored = weights.float(graph, 'relative.weight');
  const table = relative.norm ? layerNormNodes(context, stored, 'relative.norm') : stored;
  return { table, rows: relativeRowNodes(graph, relative, positions) };
}

/**
 * What positions add to the products of queries and keys [B, H, T, T].
 *
 * @param query - [B, H, T, d], as `key`
 */
export function relativeScoreNodes(
  context: LayerContext,
  at: string,
  query: string,
  key: string,
  heads: number,
): string | undefined {
  const { graph, weights, config, relative } = context;
  const { relativeAttention } = config;
  if (!relative || !relativeAttention) return undefined;
  const { contentToPosition, positionToContent, sharedProjections } = relativeAttention;
  const products = (x: string, own: string, shared: string): string => {
    const projected = linearNodes(graph, weights, relative.table, `${at}.${sharedProjections ? shared : own}`);
    const byHead = graph.op('Reshape', [projected, graph.int([0, heads, config.headSize])]);
    return graph.op('MatMul', [x, graph.op('Transpose', [byHead], { perm: [1n, 2n, 0n] })]);
  };
  const gathered = (values: string, rows: string): string => {
    const [shape, size] = [graph.op('Shape', [values]), graph.op('Shape', [rows])];
    const outer = graph.op('Slice', [shape, graph.int([0]), graph.int([2])]);
    const all = graph.op('Expand', [rows, graph.op('Concat', [outer, size], { axis: 0n })]);
    return graph.op('GatherElements', [values, all], { axis: -1n });
  };
  const parts: string[] = [];
  if (contentToPosition) parts.push(gathered(products(query, 'positionKey', 'key'), relative.rows));
  if (positionToContent) {
    const byKey = gathered(
      products(key, 'positionQuery', 'query'),
      graph.op('Transpose', [relative.rows], { perm: [1n, 0n] }),
    );
    parts.push(graph.op('Transpose', [byKey], { perm: [0n, 1n, 3n, 2n] }));
  }
  const [first, second] = parts;
  return first !== undefined && second !== undefined ? graph.op('Add', [first, second]) : first;
}
