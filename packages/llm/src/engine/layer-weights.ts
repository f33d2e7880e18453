// A layer's weights by what they do, looked up once: products with their biases, norms with theirs.
import type { ModelConfig } from '@hip/checkpoints';
import type { FfnShape, LayerShape } from './layers.ts';
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

export interface AttentionWeights<M, V> extends BlockWeights<V> {
  readonly query: LinearWeights<M, V>;
  readonly key: LinearWeights<M, V>;
  readonly value: LinearWeights<M, V>;
  readonly queryNorm: NormWeights<V> | undefined;
  readonly keyNorm: NormWeights<V> | undefined;
  readonly output: LinearWeights<M, V>;
}

export interface FfnWeights<M, V> extends BlockWeights<V> {
  readonly units: number;
  readonly gate: LinearWeights<M, V> | undefined;
  readonly up: LinearWeights<M, V>;
  readonly down: LinearWeights<M, V>;
}

/** A layer's attention, and the FFNs behind it. */
export interface LayerWeights<M, V> {
  readonly attention: AttentionWeights<M, V>;
  readonly ffns: readonly FfnWeights<M, V>[];
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
  { layer, ffns }: Pick<LayerShape, 'layer' | 'ffns'>,
): LayerWeights<M, V> {
  const linear = (name: string) => linearOf(weights, `layers.${layer}.attention.${name}`);
  const norm = (name: string) => normOf(weights, `layers.${layer}.attention.${name}`);
  return {
    attention: {
      norm: norm('norm'),
      outputNorm: norm('outputNorm'),
      query: linear('query'),
      key: linear('key'),
      value: linear('value'),
      queryNorm: norm('queryNorm'),
      keyNorm: norm('keyNorm'),
      output: linear('output'),
    },
    ffns: ffns.map((ffn) => ffnWeights(weights, config, ffn)),
  };
}

export function ffnWeights<M, V>(
  weights: DecoderWeights<M, V>,
  config: ModelConfig,
  { layer, units }: FfnShape,
): FfnWeights<M, V> {
  const linear = (name: string) => linearOf(weights, `layers.${layer}.ffn.${name}`);
  const norm = (name: string) => normOf(weights, `layers.${layer}.ffn.${name}`);
  return {
    units,
    norm: norm('norm'),
    outputNorm: norm('outputNorm'),
    gate: config.gated ? linear('gate') : undefined,
    up: linear('up'),
    down: linear('down'),
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
