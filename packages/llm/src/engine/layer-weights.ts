// A layer's weights by what they do, looked up once: products with their biases, norms with theirs.
import type { ModelConfig } from '@hip/checkpoints';
import type { DecoderWeights } from './weights.ts';

/** A product's matrix [out, in] and bias [out]. */
export interface LinearWeights<M, V> {
  readonly matrix: M;
  readonly bias: V | undefined;
}

export interface NormWeights<V> {
  readonly weight: V;
  readonly bias: V | undefined;
}

/** Attention or FFN: what stands before and after it. */
interface BlockWeights<V> {
  readonly norm: NormWeights<V> | undefined;
  readonly outputNorm: NormWeights<V> | undefined;
}

export interface LayerWeights<M, V> {
  readonly attention: BlockWeights<V> & {
    readonly query: LinearWeights<M, V>;
    readonly key: LinearWeights<M, V>;
    readonly value: LinearWeights<M, V>;
    readonly queryNorm: NormWeights<V> | undefined;
    readonly keyNorm: NormWeights<V> | undefined;
    readonly output: LinearWeights<M, V>;
  };
  readonly ffn: BlockWeights<V> & {
    readonly gate: LinearWeights<M, V> | undefined;
    readonly up: LinearWeights<M, V>;
    readonly down: LinearWeights<M, V>;
  };
}

/** Everything outside the layers. */
export interface ModelWeights<M, V> {
  readonly tokens: M;
  readonly positions: M | undefined;
  readonly embeddingNorm: NormWeights<V> | undefined;
  readonly norm: NormWeights<V> | undefined;
  readonly head: LinearWeights<M, V>;
}

export function layerWeights<M, V>(
  weights: DecoderWeights<M, V>,
  config: ModelConfig,
  layer: number,
): LayerWeights<M, V> {
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

export function modelWeights<M, V>(weights: DecoderWeights<M, V>, config: ModelConfig): ModelWeights<M, V> {
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

function linearOf<M, V>(weights: DecoderWeights<M, V>, name: string): LinearWeights<M, V> {
  return { matrix: weights.matrix(`${name}.weight`), bias: weights.vector(`${name}.bias`) };
}

function normOf<M, V>(weights: DecoderWeights<M, V>, name: string): NormWeights<V> | undefined {
  const weight = weights.vector(`${name}.weight`);
  return weight && { weight, bias: weights.vector(`${name}.bias`) };
}
