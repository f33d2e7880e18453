// BEiT-3 as a graph: an image and a text fused, or each by itself and how like each other they are.
import type { ModelConfig } from '@hip/checkpoints';
import { textConfig } from '../../model/positions.ts';
import type { BuildOptions } from './build.ts';
import { branchNodes } from './branches.ts';
import type { Branch, LayerContext } from './context.ts';
import { normNodes } from './functions.ts';
import { TO, type OnnxGraph } from './graph.ts';
import { headNodes, unitNodes } from './heads.ts';
import { imageInputs, textInputs } from './inputs.ts';
import { layerNodes } from './layers.ts';
import { productNodes } from './linear.ts';
import type { ExportWeights } from './weights.ts';

/** x [B, T, D] with zeros where the mask [B, T] has them. */
export function zeroPadding(graph: OnnxGraph, x: string, mask: string): string {
  const real = graph.op('Cast', [mask], { to: TO[graph.type] });
  return graph.op('Mul', [x, graph.op('Unsqueeze', [real, graph.int([2])])]);
}

/**
 * Inputs `pixel_values`, `input_ids` and `attention_mask`; outputs `logits` of answers, `last_hidden_state` of both, or, for retrieval,
 * `logits_per_image` [images, texts], `image_embeds` and `text_embeds` (as many images as texts need not be).
 */
export function multiwayGraph(
  graph: OnnxGraph,
  weights: ExportWeights,
  config: ModelConfig,
  options: Pick<BuildOptions, 'isMasked'>,
  lowest: number,
): OnnxGraph {
  const isPair = config.head === 'image-text-retrieval';
  const image = imageInputs(graph, weights, config);
  const given = textInputs(graph, weights, textConfig(config), {
    isMasked: options.isMasked,
    isCached: false,
    lowest,
    ...(isPair && { batch: 'text_batch_size' }),
  });
  const text = given.mask ? zeroPadding(graph, given.hidden, given.mask) : given.hidden;
  const run = (hidden: string, branch: Branch, padding: string | undefined) => {
    const context: LayerContext = {
      graph,
      weights,
      config,
      lowest,
      positions: '',
      padding,
      cache: undefined,
      rotation: () => undefined,
      branch,
    };
    let x = hidden;
    for (let layer = 0; layer < config.layers; layer++) x = layerNodes(context, x, layer);
    if (config.finalNorm) x = branchNodes(context, x, 'norm', (rows, own) => normNodes(context, rows, own));
    return { x, context: { ...context, branch: undefined } };
  };
  if (isPair) {
    const embed = (hidden: string, branch: 'vision' | 'language', padding: string | undefined, kind: string) => {
      const { x, context } = run(hidden, branch, padding);
      const first = graph.op('Gather', [x, graph.int(0)], { axis: 1n });
      return unitNodes(context, productNodes(graph, weights, first, `head.${kind}.weight`));
    };
    const images = embed(image.hidden, 'vision', undefined, 'image');
    const texts = embed(text, 'language', given.padding, 'text');
    const alike = graph.op('MatMul', [images, graph.op('Transpose', [texts], { perm: [1n, 0n] })]);
    const scale = graph.op('Exp', [weights.float(graph, 'head.logitScale')]);
    const output = (value: string, name: string, extents: readonly (number | string)[]) =>
      graph.output(
        graph.type === 'float' ? value : graph.op('Cast', [value], { to: TO.float }),
        name,
        extents,
        'float',
      );
    output(graph.op('Mul', [alike, scale]), 'logits_per_image', ['batch_size', 'text_batch_size']);
    output(images, 'image_embeds', ['batch_size', config.hiddenSize]);
    output(texts, 'text_embeds', ['text_batch_size', config.hiddenSize]);
    return graph;
  }
  const fused = graph.op('Concat', [image.hidden, text], { axis: 1n });
  const padding = given.padding && fusedPadding(graph, given.padding, config.maxPositions);
  const { x, context } = run(fused, { images: config.maxPositions }, padding);
  const { value, extents } = headNodes(context, x, { ids: undefined, mask: undefined });
  graph.output(value, config.head === 'none' ? 'last_hidden_state' : 'logits', extents, 'float');
  return graph;
}

/** Limits of keys [B, 1, 1, 1, T] behind those of an image, which are all seen. */
function fusedPadding(graph: OnnxGraph, padding: string, images: number): string {
  const batch = graph.op('Slice', [graph.op('Shape', [padding]), graph.int([0]), graph.int([1])]);
  const shape = graph.op('Concat', [batch, graph.int([1, 1, 1, images])], { axis: 0n });
  return graph.op('Concat', [graph.op('Expand', [graph.float(Infinity), shape]), padding], { axis: 4n });
}
