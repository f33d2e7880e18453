// Attention as ONNX nodes: onnxruntime's GroupQueryAttention where it has a cache, plain operators elsewhere.
import { layerHeads, layerKvHeads, layerWindow, type ModelConfig } from '@hip/checkpoints';
import { CONTRIB, type Extents } from './graph.ts';
import type { LayerContext } from './context.ts';
import { layerNormNodes, rmsNodes, softcapNodes } from './functions.ts';
import { branchNodes } from './branches.ts';
import { linearNodes } from './linear.ts';
import { relativeScoreNodes } from './relative.ts';
import { rotateNodes, type Rotation } from './rotation.ts';

/** x [B, T, D] → [B, T, D]. */
export function attentionNodes(context: LayerContext, x: string, layer: number): string {
  const { graph, weights, config, cache } = context;
  const at = `layers.${layer}.attention`;
  const heads = layerHeads(config, layer);
  const kvHeads = layerKvHeads(config, layer);
  const project = (name: 'query' | 'key' | 'value', count: number): string => {
    const value = branchNodes(context, x, `${at}.${name}`, (rows, own) => linearNodes(graph, weights, rows, own));
    if (!config.qkNorm || name === 'value') return value;
    const norm = `${at}.${name}Norm.weight`;
    if (config.qkNormSpan === 'all-heads') return rmsNodes(context, value, norm);
    const byHead = graph.op('Reshape', [value, graph.int([0, 0, count, config.headSize])]);
    return graph.op('Reshape', [rmsNodes(context, byHead, norm), graph.int([0, 0, count * config.headSize])]);
  };
  const operands = [project('query', heads), project('key', kvHeads), project('value', kvHeads)] as const;
  const rotation = context.rotation(layer);
  const attend = cache && isGrouped(config, rotation) ? groupQueryNodes : plainNodes;
  let merged = attend(context, operands, layer, rotation);
  if (config.subNorm) {
    merged = branchNodes(context, merged, `${at}.subNorm`, (rows, own) => layerNormNodes(context, rows, own));
  }
  return branchNodes(context, merged, `${at}.output`, (rows, own) => linearNodes(graph, weights, rows, own));
}

/** Whether onnxruntime's GroupQueryAttention takes heads of this size. */
function isGrouped({ headSize }: ModelConfig, rotation: Rotation | undefined): boolean {
  return headSize % (rotation ? 16 : 8) === 0;
}

type Operands = readonly [query: string, key: string, value: string];

/** Inputs and outputs of a layer's cache, [batch, kvHeads, tokens, headSize]. */
function cacheNodes({ graph, config }: LayerContext, layer: number) {
  const extents = (tokens: string): Extents => ['batch_size', layerKvHeads(config, layer), tokens, config.headSize];
  const [key, value] = ['key', 'value'].map((which) => {
    const past = graph.input(`past_key_values.${layer}.${which}`, graph.type, extents('past_sequence_length'));
    const present = `present.${layer}.${which}`;
    graph.declareOutput(present, graph.type, extents('total_sequence_length'));
    return { past, present };
  });
  return { key: key!, value: value! };
}

/** The cache and the rotation are inside the operator. */
function groupQueryNodes(context: LayerContext, operands: Operands, layer: number, rotation: Rotation | undefined) {
  const { graph, config } = context;
  const cache = context.cache!;
  const { key, value } = cacheNodes(context, layer);
  const window = layerWindow(config, layer);
  const output = graph.fresh('GroupQueryAttention');
  const tables = rotation ? [rotation.cos, rotation.sin] : [];
  graph.node(
    'GroupQueryAttention',
    [...operands, key.past, value.past, cache.lastPositions, cache.total, ...tables],
    [output, key.present, value.present],
    {
      num_heads: BigInt(layerHeads(config, layer)),
      kv_num_heads: BigInt(layerKvHeads(config, layer)),
      do_rotary: rotation ? 1n : 0n,
      rotary_interleaved: 0n,
      scale: config.attentionScale,
      ...(window > 0 && { local_window_size: BigInt(window) }),
      ...(config.attentionSoftcap !== undefined && { softcap: config.attentionSoftcap }),
    },
    CONTRIB,
    `layers.${layer}.attention.GroupQueryAttention`,
  );
  return output;
}

/** Products and a softmax, with or without a cache. */
function plainNodes(context: LayerContext, operands: Operands, layer: number, rotation: Rotation | undefined): string {
  const { graph, config, cache } = context;
  const heads = layerHeads(config, layer);
  const kvHeads = layerKvHeads(config, layer);
  const group = heads / kvHeads;
  const d = config.headSize;
  const [query, key, value] = operands;
  const rotated = (x: string, count: number): string => {
    const byHead = graph.op('Reshape', [x, graph.int([0, 0, count, d])]);
    return rotation ? rotateNodes(graph, byHead, rotation, cache?.positions ?? context.positions, d) : byHead;
  };
  // Queries [B, kv, group, T, d]; keys [B, kv, 1, d, T]; values [B, kv, 1, T, d]: MatMul broadcasts over the group.
  const grouped = graph.op('Reshape', [rotated(query, heads), graph.int([0, 0, kvHeads, group, d])]);
  const q = graph.op('Transpose', [grouped], { perm: [0n, 2n, 3n, 1n, 4n] });
  let k = graph.op('Transpose', [rotated(key, kvHeads)], { perm: [0n, 2n, 1n, 3n] });
  let v = graph.op('Transpose', [graph.op('Reshape', [value, graph.int([0, 0, kvHeads, d])])], {
    perm: [0n, 2n, 1n, 3n],
  });
  if (cache) {
    const slots = cacheNodes(context, layer);
    const joined = (past: string, now: string, present: string): string => {
      graph.node('Concat', [past, now], [present], { axis: 2n });
      return present;
    };
    k = joined(slots.key.past, k, slots.key.present);
    v = joined(slots.value.past, v, slots.value.present);
  }
  const expanded = (x: string): string => graph.op('Unsqueeze', [x, graph.int([2])]);
  const kT = graph.op('Transpose', [expanded(k)], { perm: [0n, 1n, 2n, 4n, 3n] });
  let products = graph.op('MatMul', [q, kT]);
  if (context.relative) {
    // One key head a query head: [B, H, 1, T, d] without the group.
    const own = graph.op('Squeeze', [q, graph.int([2])]);
    const added = relativeScoreNodes(context, `layers.${layer}.attention`, own, k, heads);
    if (added !== undefined) products = graph.op('Add', [products, expanded(added)]);
  }
  let scores = graph.op('Mul', [products, graph.float(config.attentionScale)]);
  if (config.attentionSoftcap !== undefined) scores = softcapNodes(graph, scores, config.attentionSoftcap);
  const window = layerWindow(config, layer);
  if (config.causal || window > 0) scores = graph.op('Min', [scores, visibleNodes(context, window)]);
  if (context.padding) scores = graph.op('Min', [scores, context.padding]);
  const mixed = graph.op('MatMul', [graph.op('Softmax', [scores], { axis: -1n }), expanded(v)]);
  const back = graph.op('Transpose', [mixed], { perm: [0n, 3n, 1n, 2n, 4n] });
  return graph.op('Reshape', [back, graph.int([0, 0, heads * d])]);
}

/** What scores may be at most by row and column [T, keys]: rows are the last T of the columns. */
function visibleNodes({ graph, config, positions, cache, lowest }: LayerContext, window: number): string {
  const columns = cache ? graph.op('Range', [graph.int(0), cache.columns, graph.int(1)]) : positions;
  let rows = positions;
  if (cache) {
    const length = graph.op('Gather', [graph.op('Shape', [positions]), graph.int(0)]);
    rows = graph.op('Add', [positions, graph.op('Sub', [cache.columns, length])]);
  }
  const down = graph.op('Unsqueeze', [rows, graph.int([1])]);
  const across = graph.op('Unsqueeze', [columns, graph.int([0])]);
  // Ahead of a row is hidden; without causality, what is further ahead than the window reaches back.
  const last = config.causal ? down : graph.op('Add', [down, graph.int(window - 1)]);
  let hidden = graph.op('Greater', [across, last]);
  if (window > 0) {
    const oldest = graph.op('Sub', [down, graph.int(window - 1)]);
    hidden = graph.op('Or', [hidden, graph.op('Less', [across, oldest])]);
  }
  return graph.op('Where', [hidden, graph.float(lowest), graph.float(Infinity)]);
}
