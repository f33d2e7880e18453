// Everything in a model that may be nested: graphs in attributes, tensors in graphs, attributes and functions.
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from './types.ts';

/** Graphs in a node's attributes (branches of If, bodies of Loop and Scan). */
export function graphsOf(node: NodeProto): GraphProto[] {
  return node.attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));
}

/** Every tensor of a model: initializers and constants, those of nested graphs and functions too. */
export function* tensorsOf(model: ModelProto): Generator<TensorProto> {
  if (model.graph) yield* graphTensors(model.graph);
  for (const { node, attributeProto } of model.functions) {
    for (const attribute of attributeProto) yield* attributeTensors(attribute);
    for (const inner of node) yield* nodeTensors(inner);
  }
}

function* graphTensors(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer;
  for (const { values, indices } of graph.sparseInitializer) {
    if (values) yield values;
    if (indices) yield indices;
  }
  for (const node of graph.node) yield* nodeTensors(node);
}

function* nodeTensors(node: NodeProto): Generator<TensorProto> {
  for (const attribute of node.attribute) yield* attributeTensors(attribute);
}

function* attributeTensors({
  t,
  tensors,
  g,
  graphs,
  sparseTensor,
  sparseTensors,
}: AttributeProto): Generator<TensorProto> {
  if (t) yield t;
  yield* tensors;
  for (const { values, indices } of sparseTensor ? [sparseTensor, ...sparseTensors] : sparseTensors) {
    if (values) yield values;
    if (indices) yield indices;
  }
  for (const graph of g ? [g, ...graphs] : graphs) yield* graphTensors(graph);
}
