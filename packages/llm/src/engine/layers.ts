// What each layer of a decoder is, in numbers: heads, FFN units, window, rotation, attention. Layers may differ in all of them.
import {
  layerFfn,
  layerHeads,
  layerKvHeads,
  layerRope,
  layerWindow,
  type ModelConfig,
  type RopeConfig,
} from '@hip/checkpoints';

export interface LayerShape {
  readonly layer: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
  /** Tokens that a row sees, its own among them; 0: all. */
  readonly window: number;
  readonly rope: RopeConfig | undefined;
}

export function layerShapes(config: ModelConfig): readonly LayerShape[] {
  return Array.from({ length: config.layers }, (_, layer) => {
    const heads = layerHeads(config, layer);
    return {
      layer,
      heads,
      kvHeads: layerKvHeads(config, layer),
      headDim: config.headSize,
      ffn: layerFfn(config, layer),
      window: layerWindow(config, layer),
      rope: layerRope(config, layer),
    };
  });
}
