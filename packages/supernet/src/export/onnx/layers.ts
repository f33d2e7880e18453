// Transformer layers as ONNX nodes: blocks, feed-forward, residual sums.
import { layerFfn, layerHeads } from '@hip/checkpoints';
import { attentionNodes } from './attention.ts';
import { branchNodes } from './branches.ts';
import type { LayerContext } from './context.ts';
import { activationNodes, layerNormNodes, normNodes } from './functions.ts';
import { linearNodes } from './linear.ts';

/** One transformer layer: x [B, T, D] → [B, T, D]. A block of no width was left out. */
export function layerNodes(context: LayerContext, x: string, layer: number): string {
  const { config } = context;
  const middle = layerHeads(config, layer) > 0 ? blockNodes(context, x, layer, 'attention') : x;
  return layerFfn(config, layer) > 0 ? blockNodes(context, middle, layer, 'ffn') : middle;
}

function blockNodes(context: LayerContext, x: string, layer: number, block: 'attention' | 'ffn'): string {
  const { graph, config } = context;
  const { placement } = config.norm;
  const at = `layers.${layer}.${block}`;
  const isSkipped = config.skipsFirstNorm === true && layer === 0 && block === 'attention';
  const isNormedFirst = (placement === 'pre' || placement === 'sandwich') && !isSkipped;
  const normed = (value: string, name: string) =>
    branchNodes(context, value, `${at}.${name}`, (rows, own) => normNodes(context, rows, own));
  const input = isNormedFirst ? normed(x, 'norm') : x;
  let result = block === 'attention' ? attentionNodes(context, input, layer) : ffnNodes(context, input, layer);
  if (placement === 'output' || placement === 'sandwich') result = normed(result, 'outputNorm');
  if ((config.residualScale ?? 1) !== 1) {
    result = graph.op('Mul', [result, graph.float(config.residualScale as number)]);
  }
  const sum = graph.op('Add', [x, result]);
  return placement === 'post' ? normed(sum, 'norm') : sum;
}

function ffnNodes(context: LayerContext, x: string, layer: number): string {
  const { graph, weights, config } = context;
  const at = `layers.${layer}.ffn`;
  const linear = (name: string, input: string) =>
    branchNodes(context, input, `${at}.${name}`, (rows, own) => linearNodes(graph, weights, rows, own));
  const up = linear('up', x);
  let active = config.gated
    ? graph.op('Mul', [activationNodes(graph, linear('gate', x), config.activation), up])
    : activationNodes(graph, up, config.activation);
  if (config.subNorm) {
    active = branchNodes(context, active, `${at}.subNorm`, (rows, own) => layerNormNodes(context, rows, own));
  }
  return linear('down', active);
}
