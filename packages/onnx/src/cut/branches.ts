// What in a cut graph looks at a whole prompt: tables that its length chooses (long ropes), scales of all its activations. A prompt that
// runs in parts must come to the same.
import type { DecoderInputs } from '../graph/feeds.ts';
import { isFloat } from '../graph/types.ts';
import { isContrib, isOnnx, type GraphView } from '../graph/view.ts';
import { readsOf } from '../model/graph.ts';
import type { NodeProto } from '../model/types.ts';
import type { CutGraph } from './pieces.ts';

/**
 * The mask of padding that each part of a prompt is given: its columns so far; the whole prompt's, where nothing reads it but what
 * chooses; undefined where a prompt cannot be divided.
 */
export type PartMask = 'columns' | 'whole' | undefined;

/** How prompts of a cut graph may be divided. */
export function partMaskOf(
  view: Pick<GraphView, 'types'>,
  { pieces }: { readonly pieces: readonly Pick<CutGraph['pieces'][number], 'model'>[] },
  { mask, tokens, positions }: DecoderInputs,
): PartMask {
  const nodes = [...new Set(pieces.flatMap(({ model }) => model.proto.graph?.node ?? []))];
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const inputs = new Set([mask, tokens, positions].filter((name) => name !== undefined));
  // One scale for the activations of all rows.
  if (nodes.some((node) => isOnnx(node, 'DynamicQuantizeLinear') || isContrib(node, 'DynamicQuantizeMatMul')))
    return undefined;
  // Branches, and the largest of all positions or columns.
  const choices = new Map<NodeProto, ReadonlySet<string>>();
  for (const node of nodes) {
    const [by = ''] = node.input;
    if (!isOnnx(node, 'If') && !(isOnnx(node, 'ReduceMax') && !isFloat(view.types.get(by)))) continue;
    const cone = coneOf(by, makers);
    if ([...inputs].some((name) => cone.has(name))) choices.set(node, cone);
  }
  if (choices.size === 0) return 'columns';
  const conditions = new Set([...choices.values()].flatMap((cone) => [...cone]));
  if (mask === undefined || [...inputs].some((name) => name !== mask && conditions.has(name))) return undefined;
  // Forth from the mask: all ways lead to a choice.
  const made = new Set([mask]);
  for (const node of nodes) {
    const read = readsOf(node).filter((name) => made.has(name));
    if (read.length === 0) continue;
    if (choices.has(node) && isOnnx(node, 'If')) {
      if (read.some((name) => name !== node.input[0])) return undefined;
    } else if (node.output.some((name) => conditions.has(name))) {
      for (const name of node.output) made.add(name);
    } else if (!choices.has(node)) return undefined;
  }
  return 'whole';
}

/** Values that a value is made from, itself included. */
function coneOf(name: string, makers: ReadonlyMap<string, NodeProto>): ReadonlySet<string> {
  const cone = new Set<string>();
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (cone.has(next)) continue;
    cone.add(next);
    const maker = makers.get(next);
    if (maker) open.push(...readsOf(maker));
  }
  return cone;
}
