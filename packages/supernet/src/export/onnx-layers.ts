// Transformer layers as ONNX nodes (opset 17): norms, activations, RoPE, grouped-query attention, feed-forward.
import { layerFfn, layerHeads, layerKvHeads, type Activation, type ModelConfig } from '@hip/checkpoints';
import type { OnnxGraph } from './onnx-graph.ts';

/** Score of a hidden key, whatever its own would be; finite, so that a row of padding only stays finite. */
export const LOWEST = -3.4e38;

/** Values every layer needs. */
export interface LayerContext {
  readonly graph: OnnxGraph;
  readonly config: ModelConfig;
  /** True when the model has this weight. */
  readonly has: (name: string) => boolean;
  /** Row positions [T] int64. */
  readonly positions: string;
  /** What scores may be at most [B, 1, 1, 1, T]: ∞ of real tokens, the lowest of padding. */
  readonly padding: string | undefined;
  readonly rope: { readonly cos: string; readonly sin: string } | undefined;
}

/** One transformer layer: x [B, T, D] → [B, T, D]. */
export function layerNodes(context: LayerContext, x: string, layer: number): string {
  const { graph, config } = context;
  const block = (input: string, name: string, nodes: typeof attentionNodes): string => {
    const norm = `layers.${layer}.${name}.norm`;
    if (config.norm.placement === 'post') {
      return normNodes(context, graph.op('Add', [nodes(context, input, layer), input]), norm);
    }
    return graph.op('Add', [input, nodes(context, normNodes(context, input, norm), layer)]);
  };
  // A block of no width was left out.
  const middle = layerHeads(config, layer) > 0 ? block(x, 'attention', attentionNodes) : x;
  return layerFfn(config, layer) > 0 ? block(middle, 'ffn', ffnNodes) : middle;
}

/** x · W (+ b). */
export function linearNodes({ graph, has }: LayerContext, x: string, name: string): string {
  const product = graph.op('MatMul', [x, `${name}.weight`]);
  return has(`${name}.bias`) ? graph.op('Add', [product, `${name}.bias`]) : product;
}

/** The configuration's norm over the last axis. */
export function normNodes(context: LayerContext, x: string, name: string): string {
  const { kind } = context.config.norm;
  return kind === 'rms' ? rmsNodes(context, x, `${name}.weight`) : layerNormNodes(context, x, name);
}

/** LayerNorm over the last axis. */
export function layerNormNodes({ graph, config }: LayerContext, x: string, name: string): string {
  return graph.op('LayerNormalization', [x, `${name}.weight`, `${name}.bias`], {
    axis: -1n,
    epsilon: config.norm.epsilon,
  });
}

/** Activation function. */
export function activationNodes(graph: OnnxGraph, x: string, activation: Activation): string {
  switch (activation) {
    case 'silu':
      return graph.op('Mul', [x, graph.op('Sigmoid', [x])]);
    case 'quick-gelu':
      return graph.op('Mul', [x, graph.op('Sigmoid', [graph.op('Mul', [x, graph.float(1.702)])])]);
    case 'relu':
      return graph.op('Relu', [x]);
    case 'tanh':
      return graph.op('Tanh', [x]);
    case 'gelu': {
      const erf = graph.op('Erf', [graph.op('Mul', [x, graph.float(Math.SQRT1_2)])]);
      return graph.op('Mul', [graph.op('Mul', [x, graph.op('Add', [erf, graph.float(1)])]), graph.float(0.5)]);
    }
    case 'gelu-tanh': {
      const square = graph.op('Mul', [x, x]);
      const factor = graph.op('Add', [graph.op('Mul', [square, graph.float(0.044715)]), graph.float(1)]);
      const inner = graph.op('Mul', [graph.op('Mul', [x, factor]), graph.float(Math.sqrt(2 / Math.PI))]);
      const sum = graph.op('Add', [graph.op('Tanh', [inner]), graph.float(1)]);
      return graph.op('Mul', [graph.op('Mul', [x, sum]), graph.float(0.5)]);
    }
  }
}

function rmsNodes({ graph, config }: LayerContext, x: string, weight: string): string {
  const mean = graph.op('ReduceMean', [graph.op('Mul', [x, x])], { axes: [-1n], keepdims: 1n });
  const root = graph.op('Sqrt', [graph.op('Add', [mean, graph.float(config.norm.epsilon)])]);
  return graph.op('Mul', [graph.op('Div', [x, root]), weight]);
}

function attentionNodes(context: LayerContext, x: string, layer: number): string {
  const { graph, config } = context;
  const at = `layers.${layer}.attention`;
  const heads = layerHeads(config, layer);
  const kvHeads = layerKvHeads(config, layer);
  const group = heads / kvHeads;
  const d = config.headSize;
  const project = (name: string, count: number): string =>
    graph.op('Reshape', [linearNodes(context, x, `${at}.${name}`), graph.int([0, 0, count, d])]);
  const prepare = (value: string, norm: string): string => {
    const normed = config.qkNorm ? rmsNodes(context, value, `${at}.${norm}.weight`) : value;
    return context.rope ? ropeNodes(graph, normed, context.rope, d) : normed;
  };
  // Queries [B, kv, group, T, d]; keys [B, kv, 1, d, T]; values [B, kv, 1, T, d]: MatMul broadcasts over the group.
  const grouped = (value: string, count: number): string =>
    graph.op('Reshape', [value, graph.int([0, 0, kvHeads, count, d])]);
  const q = graph.op('Transpose', [grouped(prepare(project('query', heads), 'queryNorm'), group)], {
    perm: [0n, 2n, 3n, 1n, 4n],
  });
  const k = graph.op('Transpose', [grouped(prepare(project('key', kvHeads), 'keyNorm'), 1)], {
    perm: [0n, 2n, 3n, 4n, 1n],
  });
  const v = graph.op('Transpose', [grouped(project('value', kvHeads), 1)], { perm: [0n, 2n, 3n, 1n, 4n] });
  let scores = graph.op('Mul', [graph.op('MatMul', [q, k]), graph.float(config.attentionScale)]);
  if (config.causal) scores = graph.op('Min', [scores, causalNodes(context, config.slidingWindows?.[layer])]);
  if (context.padding) scores = graph.op('Min', [scores, context.padding]);
  const mixed = graph.op('MatMul', [graph.op('Softmax', [scores], { axis: -1n }), v]);
  const back = graph.op('Transpose', [mixed], { perm: [0n, 3n, 1n, 2n, 4n] });
  let merged = graph.op('Reshape', [back, graph.int([0, 0, heads * d])]);
  if (config.subNorm) merged = layerNormNodes(context, merged, `${at}.subNorm`);
  return linearNodes(context, merged, `${at}.output`);
}

/** Additive causal (and sliding-window) mask [T, T]. */
function causalNodes({ graph, positions }: LayerContext, window: number | undefined): string {
  const rows = graph.op('Unsqueeze', [positions, graph.int([1])]);
  const columns = graph.op('Unsqueeze', [positions, graph.int([0])]);
  let hidden = graph.op('Greater', [columns, rows]);
  if (window) {
    const oldest = graph.op('Sub', [rows, graph.int(window - 1)]);
    hidden = graph.op('Or', [hidden, graph.op('Less', [columns, oldest])]);
  }
  return graph.op('Where', [hidden, graph.float(LOWEST), graph.float(Infinity)]);
}

function ropeNodes(graph: OnnxGraph, x: string, { cos, sin }: { cos: string; sin: string }, size: number): string {
  const part = (from: number, to: number): string =>
    graph.op('Slice', [x, graph.int([from]), graph.int([to]), graph.int([3])]);
  const half = size / 2;
  const rotated = graph.op('Concat', [graph.op('Neg', [part(half, size)]), part(0, half)], { axis: 3n });
  return graph.op('Add', [graph.op('Mul', [x, cos]), graph.op('Mul', [rotated, sin])]);
}

function ffnNodes(context: LayerContext, x: string, layer: number): string {
  const { graph, config } = context;
  const at = `layers.${layer}.ffn`;
  const up = linearNodes(context, x, `${at}.up`);
  let active = config.gated
    ? graph.op('Mul', [activationNodes(graph, linearNodes(context, x, `${at}.gate`), config.activation), up])
    : activationNodes(graph, up, config.activation);
  if (config.subNorm) active = layerNormNodes(context, active, `${at}.subNorm`);
  return linearNodes(context, active, `${at}.down`);
}
