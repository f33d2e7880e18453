// Whether a graph is one: every value made once, before it is read; nodes in an order in which they can run.
import { OnnxError } from '../errors.ts';
import type { FunctionProto, GraphProto, NodeProto } from './types.ts';
import { graphsOf } from './walk.ts';

/** How messages name a node. */
export function nodeLabel(node: NodeProto): string {
  const type = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
  return node.name === '' ? `${type} → ${node.output[0] ?? ''}` : `${node.name} (${type})`;
}

/** Values a node reads, those its nested graphs take from outside included; without the empty names of inputs left out. */
export function readsOf(node: NodeProto): string[] {
  const outer = graphsOf(node).flatMap((graph) => freeValues(graph));
  return [...node.input.filter((name) => name !== ''), ...outer];
}

/** Values a nested graph takes from around it. */
function freeValues(graph: GraphProto): string[] {
  const own = new Set(graph.input.map(({ name }) => name));
  for (const { name } of graph.initializer) own.add(name);
  for (const { values } of graph.sparseInitializer) own.add(values?.name ?? '');
  for (const { output } of graph.node) for (const name of output) own.add(name);
  const read = [...graph.node.flatMap((node) => readsOf(node)), ...graph.output.map(({ name }) => name)];
  return read.filter((name) => !own.has(name));
}

/**
 * Checks a graph and sorts its nodes where they are not in order.
 *
 * @throws OnnxError `invalid-graph`: a value that is made twice or never, a cycle, outputs that nothing makes
 */
export function checkGraph(graph: GraphProto, functions: readonly FunctionProto[] = []): void {
  graph.node = sortedNodes(graph, new Set());
  for (const { name, input, node } of functions) sortedNodes({ name, node }, new Set(input));
}

function sortedNodes(
  graph: Pick<GraphProto, 'name' | 'node'> & Partial<GraphProto>,
  outer: ReadonlySet<string>,
): NodeProto[] {
  const given = new Set(outer);
  for (const { name } of graph.input ?? []) given.add(name);
  for (const { name } of graph.initializer ?? []) given.add(name);
  for (const { values } of graph.sparseInitializer ?? []) given.add(values?.name ?? '');
  const makers = new Map<string, NodeProto>();
  for (const node of graph.node) {
    for (const name of node.output) {
      if (name === '') continue;
      if (makers.has(name) || (given.has(name) && !outer.has(name))) {
        throw broken(graph.name, `${nodeLabel(node)} makes ${name}, which is made elsewhere too`, { value: name });
      }
      makers.set(name, node);
    }
  }
  const sorted = sorting(graph, given, makers);
  const known = new Set([...given, ...makers.keys()]);
  for (const { name } of graph.output ?? []) {
    if (!known.has(name)) throw broken(graph.name, `nothing makes its output ${name}`, { value: name });
  }
  for (const node of sorted) for (const inner of graphsOf(node)) inner.node = sortedNodes(inner, known);
  return sorted;
}

/** Depth first from each node in turn, without recursion: graphs are thousands of nodes deep. */
function sorting(
  graph: Pick<GraphProto, 'name' | 'node'>,
  given: ReadonlySet<string>,
  makers: ReadonlyMap<string, NodeProto>,
): NodeProto[] {
  const sorted: NodeProto[] = [];
  const state = new Map<NodeProto, 'open' | 'done'>();
  for (const root of graph.node) {
    const stack = [{ node: root, reads: readsOf(root), next: 0 }];
    if (state.has(root)) continue;
    state.set(root, 'open');
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const name = top.reads[top.next++];
      if (name === undefined) {
        state.set(top.node, 'done');
        sorted.push(top.node);
        stack.pop();
        continue;
      }
      const maker = makers.get(name);
      if (!maker) {
        if (given.has(name)) continue;
        throw broken(graph.name, `${nodeLabel(top.node)} reads ${name}, which nothing makes`, { value: name });
      }
      const seen = state.get(maker);
      if (seen === 'open') {
        throw broken(graph.name, `${nodeLabel(maker)} waits for what it makes itself (${name})`, { value: name });
      }
      if (seen) continue;
      state.set(maker, 'open');
      stack.push({ node: maker, reads: readsOf(maker), next: 0 });
    }
  }
  return sorted;
}

function broken(graph: string, what: string, details: Readonly<Record<string, unknown>>): OnnxError {
  return new OnnxError('invalid-graph', `graph ${graph === '' ? '' : `${graph} `}is broken: ${what}`, details);
}
