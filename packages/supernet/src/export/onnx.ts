// exportOnnx: a sub-network as a standalone ONNX model with dynamic batch and sequence axes.
import { fromSlots, weightSlots, type ModelConfig } from '@hip/checkpoints';
import { fullSubnet } from '../elastic/space.ts';
import type { SubnetConfig } from '../elastic/space.ts';
import { throwIfAborted } from '../errors.ts';
import type { ElasticModel } from '../model/types.ts';
import { OnnxGraph } from './onnx-graph.ts';
import { activationNodes, layerNodes, layerNormNodes, linearNodes, LOWEST, normNodes } from './onnx-layers.ts';
import type { LayerContext } from './onnx-layers.ts';
import { subnetModelConfig, subnetValues } from './values.ts';

/** Options of {@link exportOnnx}. */
export interface OnnxOptions {
  /** Graph name. @defaultValue the family */
  readonly name?: string | undefined;
  /**
   * Whether the graph of a text model takes `attention_mask` [batch, sequence]: 0 where a row is padded. A causal model needs it for
   * batches padded on the left only.
   *
   * @defaultValue true of encoders, false of causal models
   */
  readonly attentionMask?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Encodes a sub-network as ONNX (opset 17, float32). Inputs, named as transformers' exports: `input_ids` [batch, sequence] int64
 * and, for encoders, `attention_mask` (of causal models if asked for) and `token_type_ids` (BERT) int64; `pixel_values` [batch, C, H, W]
 * for image models. Output: `logits`. The graph has no key/value cache inputs: it runs whole sequences.
 *
 * @throws SupernetError `invalid-subnet`, `non-finite` (a weight), `aborted`; `unsupported` above protobuf's 2 GiB.
 *
 * @example
 * ```ts
 * import { writeFile } from 'node:fs/promises';
 * import * as ort from 'onnxruntime-node';
 *
 * await writeFile('small.onnx', await exportOnnx(model, subnet));
 * const session = await ort.InferenceSession.create('small.onnx');
 * const ids = new ort.Tensor('int64', BigInt64Array.from([5n, 7n]), [1, 2]);
 * const { logits } = await session.run({ input_ids: ids });
 * ```
 */
export async function exportOnnx(
  model: ElasticModel,
  subnet: SubnetConfig = fullSubnet(model.space),
  options: OnnxOptions = {},
): Promise<Uint8Array> {
  const config = subnetModelConfig(model.config, subnet);
  const values = await subnetValues(model, subnet);
  throwIfAborted(options.signal, 'exportOnnx');
  const graph = new OnnxGraph();
  for (const { name, shape } of weightSlots(config)) {
    if (name !== 'embeddings.patch.weight') graph.weight(name, values.get(name) as Float32Array, shape);
  }
  const start = config.patches
    ? imageInputs(graph, config, values)
    : textInputs(graph, config, options.attentionMask ?? !config.causal);
  const context: LayerContext = { graph, config, has: (name) => values.has(name), ...start };
  let x = start.hidden;
  if (config.embeddingNorm) x = layerNormNodes(context, x, 'embeddings.norm');
  for (let layer = 0; layer < config.layers; layer++) x = layerNodes(context, x, layer);
  if (config.finalNorm) x = normNodes(context, x, 'norm');
  const { value, extents } = headNodes(context, x, start);
  graph.output(value, config.head === 'none' ? 'last_hidden_state' : 'logits', extents);
  return graph.encode(options.name ?? config.family);
}

interface Start extends Pick<LayerContext, 'positions' | 'padding' | 'rope'> {
  readonly hidden: string;
  readonly ids: string | undefined;
  readonly mask: string | undefined;
}

function textInputs(graph: OnnxGraph, config: ModelConfig, isMasked: boolean): Start {
  const axes = ['batch', 'sequence'];
  const ids = graph.input('input_ids', 'int64', axes);
  const length = graph.op('Gather', [graph.op('Shape', [ids]), graph.int(1)]);
  const positions = graph.op('Range', [graph.int(0), length, graph.int(1)]);
  let hidden = graph.op('Gather', ['embeddings.token.weight', ids]);
  let padding: string | undefined;
  const mask = isMasked ? graph.input('attention_mask', 'int64', axes) : undefined;
  if (mask) {
    const isPadding = graph.op('Equal', [mask, graph.int(0)]);
    const limits = graph.op('Where', [isPadding, graph.float(LOWEST), graph.float(Infinity)]);
    padding = graph.op('Unsqueeze', [limits, graph.int([1, 2, 3])]);
  }
  if (config.typeVocabSize > 1) {
    const types = graph.input('token_type_ids', 'int64', axes);
    hidden = graph.op('Add', [hidden, graph.op('Gather', ['embeddings.type.weight', types])]);
  } else if (config.typeVocabSize === 1) {
    hidden = graph.op('Add', [hidden, 'embeddings.type.weight']);
  }
  if (config.positionRows > 0) {
    const rows = config.positionsSkipPadding
      ? paddedPositions(graph, config, ids)
      : graph.op('Add', [
          mask ? maskedPositions(graph, config, positions, mask) : positions,
          graph.int(config.positionOffset),
        ]);
    hidden = graph.op('Add', [hidden, graph.op('Gather', ['embeddings.position.weight', rows])]);
  }
  return { hidden, ids, mask, positions, padding, rope: config.rope && ropeTables(graph, config, positions, length) };
}

function paddedPositions(graph: OnnxGraph, config: ModelConfig, ids: string): string {
  const padding = graph.int(config.positionOffset - 1);
  const real = graph.op('Cast', [graph.op('Not', [graph.op('Equal', [ids, padding])])], { to: 7n });
  const count = graph.op('CumSum', [real, graph.int(1)]);
  return graph.op('Add', [graph.op('Mul', [count, real]), padding]);
}

/** As the model counts them: real tokens of causal models, elsewhere places without the padding in front. */
function maskedPositions(graph: OnnxGraph, config: ModelConfig, positions: string, mask: string): string {
  const count = graph.op('CumSum', [mask, graph.int(1)]);
  if (config.causal) return graph.op('Max', [graph.op('Sub', [count, graph.int(1)]), graph.int(0)]);
  const before = graph.op('Cast', [graph.op('Equal', [count, graph.int(0)])], { to: 7n });
  const leading = graph.op('ReduceSum', [before, graph.int([1])], { keepdims: 1n });
  return graph.op('Max', [graph.op('Sub', [positions, leading]), graph.int(0)]);
}

/** cos and sin [1, T, 1, d] from the positions, computed in the graph: any length. */
function ropeTables(
  graph: OnnxGraph,
  config: ModelConfig,
  positions: string,
  length: string,
): { cos: string; sin: string } {
  const rope = config.rope as NonNullable<ModelConfig['rope']>;
  const column = graph.op('Unsqueeze', [graph.op('Cast', [positions], { to: 1n }), graph.int([1])]);
  const angles = graph.op('Mul', [column, frequencyNodes(graph, config, length)]);
  const both = graph.op('Concat', [angles, angles], { axis: 1n });
  const table = (type: 'Cos' | 'Sin'): string => {
    const values = graph.op('Mul', [graph.op(type, [both]), graph.float(rope.attentionFactor)]);
    return graph.op('Unsqueeze', [values, graph.int([0, 2])]);
  };
  return { cos: table('Cos'), sin: table('Sin') };
}

/** Inverse frequencies [d/2]; dynamic NTK scaling stretches θ with the length: θ^(−2i/d) · stretch^(−2i/(d−2)). */
function frequencyNodes(graph: OnnxGraph, config: ModelConfig, length: string): string {
  const { inverseFrequencies, dynamic } = config.rope as NonNullable<ModelConfig['rope']>;
  const base = graph.float(inverseFrequencies);
  if (!dynamic) return base;
  const { factor, maxPositions } = dynamic;
  const tokens = graph.op('Max', [graph.op('Cast', [length], { to: 1n }), graph.float(maxPositions)]);
  const share = graph.op('Mul', [tokens, graph.float(factor / maxPositions)]);
  const stretch = graph.op('Sub', [share, graph.float(factor - 1)]);
  const exponents = inverseFrequencies.map((_, i) => (-2 * i) / (config.headSize - 2));
  return graph.op('Mul', [base, graph.op('Pow', [stretch, graph.float(exponents)])]);
}

function imageInputs(graph: OnnxGraph, config: ModelConfig, values: ReadonlyMap<string, Float32Array>): Start {
  const patches = config.patches as NonNullable<ModelConfig['patches']>;
  const pixels = graph.input('pixel_values', 'float', ['batch', patches.channels, ...patches.imageSize]);
  const binding = { slot: 'embeddings.patch.weight', tensor: '', transform: 'patches' } as const;
  const size = patches.patchSize[0] * patches.patchSize[1] * patches.channels;
  const kernel = fromSlots([binding], [values.get(binding.slot) as Float32Array], [[size, config.hiddenSize]], patches);
  graph.weight(binding.slot, kernel.data, kernel.shape);
  const stride = patches.patchSize.map(BigInt);
  const grid = graph.op('Conv', [pixels, 'embeddings.patch.weight', 'embeddings.patch.bias'], { strides: stride });
  const sequence = graph.op('Transpose', [graph.op('Reshape', [grid, graph.int([0, 0, -1])])], { perm: [0n, 2n, 1n] });
  const batch = graph.op('Slice', [graph.op('Shape', [pixels]), graph.int([0]), graph.int([1])]);
  const extents = graph.op('Concat', [batch, graph.int([1, config.hiddenSize])], { axis: 0n });
  const names = ['embeddings.class', ...(patches.prefixTokens > 1 ? ['embeddings.distillation'] : [])];
  const prefix = names.map((name) => graph.op('Expand', [name, extents]));
  const tokens = graph.op('Concat', [...prefix, sequence], { axis: 1n });
  const [from, to] = [config.positionOffset, config.positionOffset + config.maxPositions];
  const table = graph.op('Slice', ['embeddings.position.weight', graph.int([from]), graph.int([to]), graph.int([0])]);
  return {
    hidden: graph.op('Add', [tokens, table]),
    ids: undefined,
    mask: undefined,
    positions: '',
    padding: undefined,
    rope: undefined,
  };
}

function headNodes(
  context: LayerContext,
  hidden: string,
  start: Pick<Start, 'ids' | 'mask'>,
): { value: string; extents: readonly (number | string)[] } {
  const { graph, config } = context;
  if (config.head === 'none') return { value: hidden, extents: ['batch', 'sequence', config.hiddenSize] };
  if (config.head === 'causal-lm' || config.head === 'masked-lm' || config.head === 'token-classification') {
    let x = hidden;
    if (config.headDense === 'lm-transform') {
      x = activationNodes(graph, linearNodes(context, x, 'head.dense'), config.headActivation ?? config.activation);
      x = layerNormNodes(context, x, 'head.norm');
    }
    const outputs = config.head === 'token-classification' ? config.labels : config.vocabSize;
    return { value: outputNodes(context, x), extents: ['batch', 'sequence', outputs] };
  }
  const at = (position: number): string => graph.op('Gather', [hidden, graph.int(position)], { axis: 1n });
  let x = readoutNodes(context, hidden, start, at);
  if (config.pooler) x = graph.op('Tanh', [linearNodes(context, x, 'pooler')]);
  if (config.headDense === 'tanh') x = graph.op('Tanh', [linearNodes(context, x, 'head.dense')]);
  if (config.readoutNorm) x = layerNormNodes(context, x, 'head.norm');
  let value = outputNodes(context, x);
  if (config.readout === 'distilled') {
    const second = linearNodes(context, at(1), 'head.distillation');
    value = graph.op('Mul', [graph.op('Add', [value, second]), graph.float(0.5)]);
  }
  return { value, extents: ['batch', config.labels] };
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
    return graph.op('ReduceMean', [patches], { axes: [1n], keepdims: 0n });
  }
  /** Of each sequence the token with the largest number, the first where several have it. */
  const pick = (numbers: string): string =>
    graph.op('GatherND', [hidden, graph.op('ArgMax', [numbers], { axis: 1n, keepdims: 1n })], { batch_dims: 1n });
  if (config.readout !== 'last') return mask ? pick(mask) : at(0);
  // The last real token is where the running count of real tokens first reaches its maximum.
  const last = (real: string): string => pick(graph.op('CumSum', [real, graph.int(1)]));
  if (config.padTokenId === undefined) return mask ? last(mask) : at(-1);
  const isPadding = graph.op('Equal', [ids as string, graph.int(config.padTokenId)]);
  return last(graph.op('Cast', [graph.op('Not', [isPadding])], { to: 7n }));
}

function outputNodes({ graph, config, has }: LayerContext, x: string): string {
  const matrix = config.tiedEmbeddings
    ? graph.op('Transpose', ['embeddings.token.weight'], { perm: [1n, 0n] })
    : 'head.weight';
  const product = graph.op('MatMul', [x, matrix]);
  return has('head.bias') ? graph.op('Add', [product, 'head.bias']) : product;
}
