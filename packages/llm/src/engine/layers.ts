// What each layer of a decoder is, in numbers: heads, FFN units, window, rotation, attention. Layers may differ in all of them, and lack either.
import {
  layerFfn,
  layerHeads,
  layerKvHeads,
  layerRope,
  layerWindow,
  type ModelConfig,
  type RopeConfig,
} from '@hip/checkpoints';
import { layerRule, type CallRows, type LayerRule } from '@hip/mask-search';
import type { ResolvedAttention } from './options.ts';

/** An FFN of the model's layer `layer`. */
export interface FfnShape {
  readonly layer: number;
  readonly units: number;
}

/** A layer with attention, and what follows it until the next. */
export interface LayerShape {
  /** Of the model's layers, those without attention counted. */
  readonly layer: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** FFNs behind the attention: the layer's own, and those of layers without attention that come next. */
  readonly ffns: readonly FfnShape[];
  /** Units of the widest of them (with those before the first layer with attention, of that). */
  readonly ffn: number;
  /** Tokens that a row sees, its own among them; 0: all. */
  readonly window: number;
  readonly rope: RopeConfig | undefined;
}

/** The layers with attention. */
export function layerShapes(config: ModelConfig): readonly LayerShape[] {
  const attending = attendingLayers(config);
  return attending.map((layer, index) => {
    const ffns = ffnsOf(config, layer, attending[index + 1] ?? config.layers);
    const nearby = index === 0 ? [...leadingFfns(config), ...ffns] : ffns;
    return {
      layer,
      heads: layerHeads(config, layer),
      kvHeads: layerKvHeads(config, layer),
      headDim: config.headSize,
      ffns,
      ffn: Math.max(0, ...nearby.map(({ units }) => units)),
      window: layerWindow(config, layer),
      rope: layerRope(config, layer),
    };
  });
}

/** Where rows are in their call: its rows, and those that follow (Infinity where nothing is asked of its end). */
export type CallPlace = Required<Pick<CallRows, 'call' | 'after'>>;

/** How a layer attends: to its window, to everything, or to what HiP selects. @throws HipError `invalid-config` */
export function attentionRule({ layer, window }: LayerShape, { config, denseBelow }: ResolvedAttention): LayerRule {
  return layerRule(config ?? 'dense', { layer, window, denseBelow });
}

/** FFNs before the first layer with attention: what the embeddings pass through. */
export function leadingFfns(config: ModelConfig): readonly FfnShape[] {
  return ffnsOf(config, 0, attendingLayers(config)[0] ?? config.layers);
}

function attendingLayers(config: ModelConfig): readonly number[] {
  return layersOf(0, config.layers).filter((layer) => layerHeads(config, layer) > 0);
}

function ffnsOf(config: ModelConfig, from: number, to: number): readonly FfnShape[] {
  return layersOf(from, to).flatMap((layer) => {
    const units = layerFfn(config, layer);
    return units > 0 ? [{ layer, units }] : [];
  });
}

function layersOf(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
