// Task heads as ONNX nodes: logits of tokens, pooled classifiers, image classifiers.
import { TO } from './graph.ts';
import type { Start } from './inputs.ts';
import type { LayerContext } from './context.ts';
import { activationNodes, layerNormNodes, softcapNodes } from './functions.ts';
import { linearNodes, productNodes } from './linear.ts';

/** The output's value and extents; logits are float32 in every graph. */
export function headNodes(
  context: LayerContext,
  hidden: string,
  start: Pick<Start, 'ids' | 'mask'>,
): { readonly value: string; readonly extents: readonly (number | string)[] } {
  const { value, extents } = rawHead(context, hidden, start);
  const { graph } = context;
  return { value: graph.type === 'float' ? value : graph.op('Cast', [value], { to: TO.float }), extents };
}

function rawHead(context: LayerContext, hidden: string, start: Pick<Start, 'ids' | 'mask'>) {
  const { graph, weights, config } = context;
  const tokens = config.patches ? 'tokens' : 'sequence_length';
  if (config.head === 'none') return { value: hidden, extents: ['batch_size', tokens, config.hiddenSize] };
  if (config.head === 'causal-lm' || config.head === 'masked-lm' || config.head === 'token-classification') {
    let x = hidden;
    if (config.headDense === 'lm-transform') x = transformNodes(context, x);
    const outputs = config.head === 'token-classification' ? config.labels : config.vocabSize;
    const rows = context.cache ? 'logits_length' : tokens;
    return { value: outputNodes(context, x), extents: ['batch_size', rows, outputs] };
  }
  const at = (position: number): string => graph.op('Gather', [hidden, graph.int(position)], { axis: 1n });
  let x = readoutNodes(context, hidden, start, at);
  if (config.head === 'sentence-embedding') {
    const value = config.unitEmbedding ? unitNodes(context, x) : x;
    return { value, extents: ['batch_size', config.hiddenSize] };
  }
  if (config.poolerNorm) x = layerNormNodes(context, x, 'pooler.norm');
  if (config.pooler) x = graph.op('Tanh', [linearNodes(graph, weights, x, 'pooler')]);
  if (config.headDense !== 'none') x = transformNodes(context, x);
  if (config.readoutNorm) x = layerNormNodes(context, x, 'head.norm');
  let value = outputNodes(context, x);
  if (config.readout === 'distilled') {
    const second = linearNodes(graph, weights, at(1), 'head.distillation');
    value = graph.op('Mul', [graph.op('Add', [value, second]), graph.float(0.5)]);
  }
  return { value, extents: ['batch_size', config.labels] };
}

/** Extra linear of a head with what follows it. */
function transformNodes(context: LayerContext, rows: string): string {
  const { graph, weights, config } = context;
  const { headActivation = config.activation } = config;
  const x = linearNodes(graph, weights, rows, 'head.dense');
  switch (config.headDense) {
    case 'tanh':
      return graph.op('Tanh', [x]);
    case 'wide':
      return activationNodes(graph, layerNormNodes(context, x, 'head.norm'), headActivation);
    case 'lm-transform':
      return layerNormNodes(context, activationNodes(graph, x, headActivation), 'head.norm');
    default:
      return activationNodes(graph, x, headActivation);
  }
}

/** Rows of length 1. */
export function unitNodes({ graph }: LayerContext, x: string): string {
  const length = graph.op('ReduceL2', graph.opset === 17 ? [x] : [x, graph.int([1])], {
    ...(graph.opset === 17 && { axes: [1n] }),
    keepdims: 1n,
  });
  return graph.op('Div', [x, graph.op('Max', [length, graph.float(graph.type === 'float' ? 1e-12 : 1e-4)])]);
}

function readoutNodes(
  { graph, config }: LayerContext,
  hidden: string,
  { ids, mask }: Pick<Start, 'ids' | 'mask'>,
  at: (position: number) => string,
): string {
  if (config.readout === 'mean-patches') {
    const first = config.patches?.prefixTokens ?? 0;
    const patches = graph.op('Slice', [hidden, graph.int([first]), graph.int([2 ** 31]), graph.int([1])]);
    return graph.opset === 17
      ? graph.op('ReduceMean', [patches], { axes: [1n], keepdims: 0n })
      : graph.op('ReduceMean', [patches, graph.int([1])], { keepdims: 0n });
  }
  /** Of each sequence the token with the largest number, the first where several have it. */
  const pick = (numbers: string): string =>
    graph.op('GatherND', [hidden, graph.op('ArgMax', [numbers], { axis: 1n, keepdims: 1n })], { batch_dims: 1n });
  if (config.readout === 'mean') {
    const real = graph.op('Cast', [mask as string], { to: TO[graph.type] });
    const count = graph.op('ReduceSum', [real, graph.int([1])], { keepdims: 1n });
    const shares = graph.op('Div', [real, graph.op('Max', [count, graph.float(1)])]);
    const weighted = graph.op('Mul', [hidden, graph.op('Unsqueeze', [shares, graph.int([2])])]);
    return graph.op('ReduceSum', [weighted, graph.int([1])], { keepdims: 0n });
  }
  if (config.readout !== 'last') return mask ? pick(mask) : at(0);
  // The last real token is where the running count of real tokens first reaches its maximum.
  const last = (real: string): string => pick(graph.op('CumSum', [real, graph.int(1)]));
  if (config.padTokenId === undefined) return mask ? last(mask) : at(-1);
  const isPadding = graph.op('Equal', [ids as string, graph.int(config.padTokenId)]);
  return last(graph.op('Cast', [graph.op('Not', [isPadding])], { to: TO.int64 }));
}

function outputNodes({ graph, weights, config }: LayerContext, x: string): string {
  const matrix = config.tiedEmbeddings ? 'embeddings.token.weight' : 'head.weight';
  let logits = productNodes(graph, weights, x, matrix);
  if (weights.has('head.bias')) logits = graph.op('Add', [logits, weights.float(graph, 'head.bias')]);
  if ((config.logitScale ?? 1) !== 1) logits = graph.op('Mul', [logits, graph.float(config.logitScale as number)]);
  return config.logitSoftcap === undefined ? logits : softcapNodes(graph, logits, config.logitSoftcap);
}
