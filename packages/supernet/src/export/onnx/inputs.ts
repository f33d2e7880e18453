// What goes into a graph: ids, masks, positions, pixels, and the hidden state that they become.
import { fromSlots, type ModelConfig } from '@hip/checkpoints';
import { TO, type OnnxGraph } from './graph.ts';
import type { CacheContext } from './context.ts';
import { lookupNodes } from './linear.ts';
import type { ExportWeights } from './weights.ts';

/** The start of a graph. */
export interface Start {
  readonly hidden: string;
  readonly ids: string | undefined;
  readonly mask: string | undefined;
  /** [T] int64, counted from 0. */
  readonly positions: string;
  /** Positions there are, cached ones included: int64 scalar. */
  readonly total: string;
  readonly padding: string | undefined;
  readonly cache: CacheContext | undefined;
}

/** What the inputs of a text graph are. */
export interface TextInputs {
  readonly isMasked: boolean;
  readonly isCached: boolean;
  readonly lowest: number;
  /** Name of the axis of texts. @defaultValue 'batch_size' */
  readonly batch?: string;
}

export function textInputs(
  graph: OnnxGraph,
  weights: ExportWeights,
  config: ModelConfig,
  { isMasked, isCached, lowest, batch = 'batch_size' }: TextInputs,
): Start {
  const sequence = 'sequence_length';
  const ids = graph.input('input_ids', 'int64', [batch, sequence]);
  const length = graph.op('Gather', [graph.op('Shape', [ids]), graph.int(1)]);
  const positions = graph.op('Range', [graph.int(0), length, graph.int(1)]);
  const mask = isMasked
    ? graph.input('attention_mask', 'int64', [batch, isCached ? 'total_sequence_length' : sequence])
    : undefined;
  const cache = mask !== undefined && isCached ? cacheInputs(graph, mask, length) : undefined;
  let padding: string | undefined;
  if (mask) {
    const isPadding = graph.op('Equal', [mask, graph.int(0)]);
    const limits = graph.op('Where', [isPadding, graph.float(lowest), graph.float(Infinity)]);
    padding = graph.op('Unsqueeze', [limits, graph.int([1, 2, 3])]);
  }
  let hidden = lookupNodes(graph, weights, ids);
  if ((config.embeddingScale ?? 1) !== 1) {
    hidden = graph.op('Mul', [hidden, graph.float(config.embeddingScale as number)]);
  }
  const table = (name: string): string => {
    const isOfText = config.multiway && name === 'position';
    return weights.float(graph, isOfText ? 'language.position.weight' : `embeddings.${name}.weight`);
  };
  if (config.typeVocabSize > 1) {
    const types = graph.input('token_type_ids', 'int64', [batch, sequence]);
    hidden = graph.op('Add', [hidden, graph.op('Gather', [table('type'), types])]);
  } else if (config.typeVocabSize === 1) {
    hidden = graph.op('Add', [hidden, table('type')]);
  }
  if (config.positionRows > 0) {
    const rows = config.positionsSkipPadding
      ? paddedPositions(graph, config, ids)
      : graph.op('Add', [
          cache?.positions ?? (mask ? maskedPositions(graph, config, positions, mask) : positions),
          graph.int(config.positionOffset),
        ]);
    hidden = graph.op('Add', [hidden, graph.op('Gather', [table('position'), rows])]);
  }
  return { hidden, ids, mask, positions, total: cache?.columns ?? length, padding, cache };
}

/** Lengths and positions that attention over a cache asks for, from the mask over cached and new tokens. */
function cacheInputs(graph: OnnxGraph, mask: string, length: string): CacheContext {
  const count = graph.op('ReduceSum', [mask, graph.int([1])], { keepdims: 0n });
  const columns = graph.op('Gather', [graph.op('Shape', [mask]), graph.int(1)]);
  const counted = graph.op('Sub', [graph.op('CumSum', [mask, graph.int(1)]), graph.int(1)]);
  const start = graph.op('Unsqueeze', [graph.op('Sub', [columns, length]), graph.int([0])]);
  const end = graph.op('Unsqueeze', [columns, graph.int([0])]);
  const own = graph.op('Slice', [counted, start, end, graph.int([1])]);
  return {
    lastPositions: graph.op('Cast', [graph.op('Sub', [count, graph.int(1)])], { to: TO.int32 }),
    total: graph.op('Cast', [columns], { to: TO.int32 }),
    columns,
    positions: graph.op('Max', [own, graph.int(0)]),
  };
}

function paddedPositions(graph: OnnxGraph, config: ModelConfig, ids: string): string {
  const padding = graph.int(config.positionOffset - 1);
  const real = graph.op('Cast', [graph.op('Not', [graph.op('Equal', [ids, padding])])], { to: TO.int64 });
  const count = graph.op('CumSum', [real, graph.int(1)]);
  return graph.op('Add', [graph.op('Mul', [count, real]), padding]);
}

/** As the model counts them: real tokens of causal models, elsewhere places without the padding in front. */
function maskedPositions(graph: OnnxGraph, config: ModelConfig, positions: string, mask: string): string {
  const count = graph.op('CumSum', [mask, graph.int(1)]);
  if (config.causal) return graph.op('Max', [graph.op('Sub', [count, graph.int(1)]), graph.int(0)]);
  const before = graph.op('Cast', [graph.op('Equal', [count, graph.int(0)])], { to: TO.int64 });
  const leading = graph.op('ReduceSum', [before, graph.int([1])], { keepdims: 1n });
  return graph.op('Max', [graph.op('Sub', [positions, leading]), graph.int(0)]);
}

export function imageInputs(graph: OnnxGraph, weights: ExportWeights, config: ModelConfig): Start {
  const patches = config.patches as NonNullable<ModelConfig['patches']>;
  const pixels = graph.input('pixel_values', 'float', ['batch_size', patches.channels, ...patches.imageSize]);
  const images = graph.type === 'float' ? pixels : graph.op('Cast', [pixels], { to: TO[graph.type] });
  const name = 'embeddings.patch.weight';
  const slotShape = weights.slot(name).shape;
  const kernel = weights.float(graph, name, {
    shape: [config.hiddenSize, patches.channels, ...patches.patchSize],
    change: (values) =>
      fromSlots([{ slot: name, tensor: '', transform: 'patches' }], [values], [slotShape], patches).data,
  });
  const grid = graph.op('Conv', [images, kernel, weights.float(graph, 'embeddings.patch.bias')], {
    strides: patches.patchSize.map(BigInt),
  });
  const sequence = graph.op('Transpose', [graph.op('Reshape', [grid, graph.int([0, 0, -1])])], { perm: [0n, 2n, 1n] });
  const batch = graph.op('Slice', [graph.op('Shape', [pixels]), graph.int([0]), graph.int([1])]);
  const extents = graph.op('Concat', [batch, graph.int([1, config.hiddenSize])], { axis: 0n });
  const names = ['embeddings.class', ...(patches.prefixTokens > 1 ? ['embeddings.distillation'] : [])];
  const prefix = names.map((prefixName) => graph.op('Expand', [weights.float(graph, prefixName), extents]));
  const tokens = graph.op('Concat', [...prefix, sequence], { axis: 1n });
  const [from, to] = [config.positionOffset, config.positionOffset + config.maxPositions];
  const positions = weights.float(graph, 'embeddings.position.weight');
  const table = graph.op('Slice', [positions, graph.int([from]), graph.int([to]), graph.int([0])]);
  return {
    hidden: graph.op('Add', [tokens, table]),
    ids: undefined,
    mask: undefined,
    positions: '',
    total: '',
    padding: undefined,
    cache: undefined,
  };
}
