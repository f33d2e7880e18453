// Nodes in an order in which they can run.
import { OnnxError } from '../errors.ts';
import { nodeLabel, readsOf } from '../model/graph.ts';
import type { NodeProto } from '../model/types.ts';

/** Nodes that the roots need, in an order in which they can run. */
export function ordered(roots: readonly string[], makers: ReadonlyMap<string, NodeProto>): NodeProto[] {
  const order: NodeProto[] = [];
  const state = new Map<NodeProto, boolean>();
  for (const root of roots) {
    const first = makers.get(root);
    if (!first || state.has(first)) continue;
    state.set(first, false);
    const stack = [{ node: first, reads: readsOf(first), next: 0 }];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const name = top.reads[top.next++];
      if (name === undefined) {
        state.set(top.node, true);
        order.push(top.node);
        stack.pop();
        continue;
      }
      const maker = makers.get(name);
      if (!maker || state.get(maker) === true) continue;
      if (state.get(maker) === false) {
        throw new OnnxError('unsupported', `${nodeLabel(maker)} would wait for itself once the graph is cut`, {
          value: name,
        });
      }
      state.set(maker, false);
      stack.push({ node: maker, reads: readsOf(maker), next: 0 });
    }
  }
  return order;
}
