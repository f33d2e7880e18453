// A configuration and its weights as an ONNX model.
import type { HeadKind, ModelConfig } from '@hip/checkpoints';
import type { OnnxModelToWrite } from '@hip/onnx/model';
import { SupernetError } from '../../errors.ts';
import { OnnxGraph, TO } from './graph.ts';
import { headNodes } from './heads.ts';
import { imageInputs, textInputs } from './inputs.ts';
import type { LayerContext } from './context.ts';
import { layerNormNodes, normNodes } from './functions.ts';
import { layerNodes } from './layers.ts';
import { multiwayGraph, zeroPadding } from './multiway.ts';
import { relativeNodes } from './relative.ts';
import { rotations } from './rotation.ts';
import type { ExportWeights } from './weights.ts';

/** What kind of graph. */
export interface BuildOptions {
  readonly name: string;
  /** Keys and values of earlier tokens go in and come out. */
  readonly isCached: boolean;
  readonly isMasked: boolean;
  /** Rows of stored rotary tables: tokens that the graph takes, cached ones included. */
  readonly positions: number;
  /** An input says of how many of the last tokens there are to be logits. */
  readonly choosesLogits: boolean;
}

/** Score of a hidden key: the least finite number, nearly. */
const LOWEST = { float: -3.4e38, float16: -65_504 } as const;

/** Names of what is no logits. */
const OUTPUTS: Partial<Record<HeadKind, string>> = {
  none: 'last_hidden_state',
  'sentence-embedding': 'sentence_embedding',
};

/** The model, its weights to be read as it is written. @throws SupernetError `invalid-option` */
export function buildOnnx(config: ModelConfig, weights: ExportWeights, options: BuildOptions): OnnxModelToWrite {
  const { isCached } = options;
  if (isCached && config.head !== 'causal-lm') {
    const message = `cache = true: a ${config.family} model with the head ${config.head} goes over whole sequences, leave it out`;
    throw new SupernetError('invalid-option', message, { cache: true, head: config.head });
  }
  const type = weights.format.float;
  // RMSNormalization came with opset 23; onnxruntime's fusions of encoders know older ones better.
  const graph = new OnnxGraph(type, config.norm.kind === 'rms' ? 23 : 17);
  const lowest = LOWEST[type];
  if (config.multiway) return multiwayGraph(graph, weights, config, options, lowest).model(options.name);
  const start = config.patches
    ? imageInputs(graph, weights, config)
    : textInputs(graph, weights, config, { isMasked: options.isMasked || isCached, isCached, lowest });
  const base: LayerContext = {
    graph,
    weights,
    config,
    lowest,
    positions: start.positions,
    padding: start.padding,
    cache: start.cache,
    rotation: rotations(graph, config, options.positions, start.total),
  };
  const { relativeAttention } = config;
  const context = relativeAttention ? { ...base, relative: relativeNodes(base, relativeAttention) } : base;
  let x = start.hidden;
  if (config.embeddingNorm) x = layerNormNodes(context, x, 'embeddings.norm');
  if (config.zeroPadding && start.mask) x = zeroPadding(graph, x, start.mask);
  for (let layer = 0; layer < config.layers; layer++) x = layerNodes(context, x, layer);
  if (isCached && options.choosesLogits) {
    // The last n rows; of −0 on, all of them.
    const count = graph.op('Neg', [graph.input('num_logits_to_keep', 'int64', [])]);
    const from = graph.op('Unsqueeze', [count, graph.int([0])]);
    x = graph.op('Slice', [x, from, graph.int([2 ** 31]), graph.int([1])]);
  }
  if (config.finalNorm) x = normNodes(context, x, 'norm');
  const { value, extents } = headNodes(context, x, start);
  graph.output(value, OUTPUTS[config.head] ?? 'logits', extents, 'float');
  if (config.head === 'sentence-embedding') {
    const tokens = type === 'float' ? x : graph.op('Cast', [x], { to: TO.float });
    graph.output(tokens, 'last_hidden_state', ['batch_size', 'sequence_length', config.hiddenSize], 'float');
  }
  return graph.model(options.name);
}
