// A layer's weights by what they do, looked up once: products with their biases, norms with theirs.
import type { ModelConfig } from '@hip/checkpoints';
import type { Activation, StoredMatrix } from '@hip/kernels-cpu';
import type { DecoderWeights } from './weights.ts';

/** A product's matrix [out, in] and bias [out]. */
export interface LinearWeights {
  readonly matrix: StoredMatrix;
  readonly bias: Activation | undefined;
}

export interface NormWeights {
  readonly weight: Activation;
  readonly bias: Activation | undefined;
}

/** Attention or FFN: what stands before and after it. */
interface BlockWeights {
  readonly norm: NormWeights | undefined;
  readonly outputNorm: NormWeights | undefined;
}

export interface LayerWeights {
  readonly attention: BlockWeights & {
    readonly query: LinearWeights;
    readonly key: LinearWeights;
    readonly value: LinearWeights;
    readonly queryNorm: NormWeights | undefined;
    readonly keyNorm: NormWeights | undefined;
    readonly output: LinearWeights;
  };
  readonly ffn: BlockWeights & {
    readonly gate: LinearWeights | undefined;
    readonly up: LinearWeights;
    readonly down: LinearWeights;
  };
}

/** Everything outside the layers. */
export interface ModelWeights {
  readonly tokens: StoredMatrix;
  readonly positions: StoredMatrix | undefined;
  readonly embeddingNorm: NormWeights | undefined;
  readonly norm: NormWeights | undefined;
  readonly head: LinearWeights;
}

export function layerWeights(weights: DecoderWeights, config: ModelConfig, layer: number): LayerWeights {
  const linear = (name: string) => linearOf(weights, `layers.${layer}.${name}`);
  const norm = (name: string) => normOf(weights, `layers.${layer}.${name}`);
  return {
    attention: {
      norm: norm('attention.norm'),
      outputNorm: norm('attention.outputNorm'),
      query: linear('attention.query'),
      key: linear('attention.key'),
      value: linear('attention.value'),
      queryNorm: norm('attention.queryNorm'),
      keyNorm: norm('attention.keyNorm'),
      output: linear('attention.output'),
    },
    ffn: {
      norm: norm('ffn.norm'),
      outputNorm: norm('ffn.outputNorm'),
      gate: config.gated ? linear('ffn.gate') : undefined,
      up: linear('ffn.up'),
      down: linear('ffn.down'),
    },
  };
}

export function modelWeights(weights: DecoderWeights, config: ModelConfig): ModelWeights {
  const tokens = weights.matrix('embeddings.token.weight');
  return {
    tokens,
    positions: config.positionRows > 0 ? weights.matrix('embeddings.position.weight') : undefined,
    embeddingNorm: normOf(weights, 'embeddings.norm'),
    norm: normOf(weights, 'norm'),
    head: {
      matrix: config.tiedEmbeddings ? tokens : weights.matrix('head.weight'),
      bias: weights.vector('head.bias'),
    },
  };
}

function linearOf(weights: DecoderWeights, name: string): LinearWeights {
  return { matrix: weights.matrix(`${name}.weight`), bias: weights.vector(`${name}.bias`) };
}

function normOf(weights: DecoderWeights, name: string): NormWeights | undefined {
  const weight = weights.vector(`${name}.weight`);
  return weight && { weight, bias: weights.vector(`${name}.bias`) };
}
