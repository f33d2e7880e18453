// Task heads: language-model logits, pooled classifiers, image classifiers.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { activate } from './activations.ts';
import { embed } from './embedding.ts';
import { linear, matMul, matMulTied } from './matmul.ts';
import { realRows, realTokens, rowsOf } from './real-rows.ts';
import type { Stream } from './stream.ts';
import type { ModelConfig } from '@hip/checkpoints';
import type { ForwardOptions, ModelInputs } from './types.ts';

/** Extents and options a head needs beside the hidden state. */
export interface HeadContext {
  readonly batch: number;
  readonly length: number;
  readonly inputs: ModelInputs;
  readonly logits: NonNullable<ForwardOptions['logits']>;
  /** Drop-out of what a classifier's last linear map reads. @defaultValue none */
  readonly drop?: (x: tf.Tensor2D) => tf.Tensor2D;
}

/** Of a vector's squared length: 1e-12 of its length. */
const LEAST_SQUARE = 1e-24;

/** Logits of the final hidden state [B·T, D]. */
export function applyHead(config: ModelConfig, stream: Stream, hidden: tf.Tensor2D, context: HeadContext): tf.Tensor {
  switch (config.head) {
    case 'none':
      return tf.reshape(hidden, [context.batch, context.length, stream.width]);
    case 'causal-lm':
    case 'masked-lm':
    case 'token-classification':
      return tokenLogits(config, stream, hidden, context);
    case 'sentence-embedding': {
      const pooled = readOut(config, hidden, context);
      return config.unitEmbedding ? unit(pooled) : pooled;
    }
    default:
      return classify(config, stream, hidden, context);
  }
}

/** The token that stands for an image or a text in image-text retrieval, as a unit vector [B, D] in the space they share. */
export function retrievalEmbedding(
  stream: Stream,
  hidden: tf.Tensor2D,
  context: HeadContext,
  kind: 'image' | 'text',
): tf.Tensor2D {
  return unit(
    stream.mask(matMul(takePosition(hidden, context, 0), stream.weight(`head.${kind}.weight`) as tf.Tensor2D)),
  );
}

/** exp(scale) · images · textsᵀ. */
export function retrievalLogits(stream: Stream, images: tf.Tensor2D, texts: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(matMul(images, tf.transpose(texts)), tf.exp(stream.weight('head.logitScale')));
}

/** Rows of length 1. */
export function unit(x: tf.Tensor2D): tf.Tensor2D {
  return tf.div(x, tf.sqrt(tf.maximum(tf.sum(tf.square(x), 1, true), LEAST_SQUARE)));
}

function tokenLogits(config: ModelConfig, stream: Stream, hidden: tf.Tensor2D, context: HeadContext): tf.Tensor {
  const { batch, length, logits } = context;
  const outputs = config.head === 'token-classification' ? config.labels : config.vocabSize;
  if (logits === 'none') return tf.zeros([batch, 0, outputs]);
  if (logits === 'hidden') return tf.reshape(hidden, [batch, length, stream.width]);
  const count = logits === 'last' ? 1 : length;
  const read = logits === 'last' ? takeReal(config, hidden, context, 'last') : hidden;
  const rows = config.head === 'token-classification' && context.drop ? context.drop(read) : read;
  return tf.reshape(languageLogits(config, stream, rows), [batch, count, outputs]);
}

/** Per-row logits [N, outputs] of hidden rows [N, D] (transform, output product, bias). */
export function languageLogits(config: ModelConfig, stream: Stream, rows: tf.Tensor2D): tf.Tensor2D {
  let x = rows;
  if (config.headDense === 'lm-transform') x = headTransform(config, stream, x);
  const bias = config.headBias ? (stream.weight('head.bias') as tf.Tensor1D) : undefined;
  if (!config.tiedEmbeddings) return linear(x, stream.weight('head.weight') as tf.Tensor2D, bias);
  const product = matMulTied(x, stream.weight('embeddings.token.weight') as tf.Tensor2D);
  return bias ? tf.add(product, bias) : product;
}

/** Extra linear of a head with what follows it. */
function headTransform(config: ModelConfig, stream: Stream, rows: tf.Tensor2D): tf.Tensor2D {
  const { headDense, headDenseBias = true, headActivation = config.activation } = config;
  const bias = headDenseBias ? (stream.weight('head.dense.bias') as tf.Tensor1D) : undefined;
  const x = linear(rows, stream.weight('head.dense.weight') as tf.Tensor2D, bias);
  switch (headDense) {
    case 'tanh':
      return stream.mask(tf.tanh(x));
    case 'wide':
      return activate(stream.norm(x, 'head.norm', 'layer'), headActivation);
    case 'lm-transform':
      return stream.norm(activate(x, headActivation), 'head.norm', 'layer');
    default:
      return stream.mask(activate(x, headActivation));
  }
}

function classify(config: ModelConfig, stream: Stream, hidden: tf.Tensor2D, context: HeadContext): tf.Tensor2D {
  let x = readOut(config, hidden, context);
  if (config.poolerNorm) x = stream.norm(x, 'pooler.norm', 'layer');
  if (config.pooler) x = stream.mask(tf.tanh(dense(x, stream, 'pooler')));
  if (config.headDense !== 'none') x = headTransform(config, stream, x);
  if (config.readoutNorm) x = stream.norm(x, 'head.norm', 'layer');
  const { drop = (rows) => rows } = context;
  const bias = config.headBias ? (stream.weight('head.bias') as tf.Tensor1D) : undefined;
  const logits = linear(drop(x), stream.weight('head.weight') as tf.Tensor2D, bias);
  if (config.readout !== 'distilled') return logits;
  const second = takePosition(hidden, context, 1);
  const distilled = dense(drop(second), stream, 'head.distillation');
  return tf.mul(tf.add(logits, distilled), 0.5);
}

function readOut(config: ModelConfig, hidden: tf.Tensor2D, context: HeadContext): tf.Tensor2D {
  switch (config.readout) {
    case 'mean-patches': {
      const prefix = config.patches?.prefixTokens ?? 0;
      const { batch, length } = context;
      const d = hidden.shape[1];
      const sequence = tf.reshape(hidden, [batch, length, d]);
      return tf.mean(tf.slice(sequence, [0, prefix, 0], [batch, length - prefix, d]), 1);
    }
    case 'mean':
      return meanReal(hidden, context);
    case 'last':
      return lastToken(config, hidden, context);
    default:
      return takeReal(config, hidden, context, 'first');
  }
}

/** Mean of each sequence's real tokens; zero of a sequence of padding. */
function meanReal(hidden: tf.Tensor2D, { batch, length, inputs }: HeadContext): tf.Tensor2D {
  const sequence = tf.reshape(hidden, [batch, length, hidden.shape[1]]);
  const { attentionMask } = inputs;
  if (!attentionMask) return tf.mean(sequence, 1);
  const real = realTokens(attentionMask);
  const shares = tf.div(real, tf.maximum(tf.sum(real, 1, true), 1));
  return tf.sum(tf.mul(sequence, tf.expandDims(shares, 2)), 1);
}

/** The first or last token of each sequence that is no padding by the mask. */
function takeReal(
  config: ModelConfig,
  hidden: tf.Tensor2D,
  context: HeadContext,
  which: 'first' | 'last',
): tf.Tensor2D {
  const { inputs, batch, length } = context;
  const rows = config.patches ? undefined : realRows(inputs.attentionMask, [batch, length], which);
  if (rows) return embed(hidden, rows);
  return takePosition(hidden, context, which === 'first' ? 0 : length - 1);
}

function takePosition(hidden: tf.Tensor2D, context: HeadContext, position: number): tf.Tensor2D {
  const { batch, length } = context;
  const d = hidden.shape[1];
  if (batch === 1) return tf.slice2d(hidden, [position, 0], [1, d]);
  const sequence: tf.Tensor3D = tf.reshape(hidden, [batch, length, d]);
  return tf.reshape(tf.slice3d(sequence, [0, position, 0], [batch, 1, d]), [batch, d]);
}

/** Rightmost token that is no padding, as transformers' decoder classifiers read it: by its id, else by the mask. */
function lastToken(config: ModelConfig, hidden: tf.Tensor2D, context: HeadContext): tf.Tensor2D {
  const { batch, inputs } = context;
  const pad = config.padTokenId;
  if (pad === undefined) {
    if (batch > 1 && !inputs.attentionMask) {
      throw new SupernetError(
        'invalid-input',
        'a decoder classifier without pad_token_id takes one sequence at a time, or attentionMask',
        { batch },
      );
    }
    return takeReal(config, hidden, context, 'last');
  }
  const ids = inputs.inputIds as tf.Tensor2D;
  const real = tf.notEqual(ids, tf.scalar(pad, 'int32'));
  return embed(hidden, rowsOf(real, 'last'));
}

function dense(x: tf.Tensor2D, stream: Stream, name: string): tf.Tensor2D {
  return linear(x, stream.weight(`${name}.weight`) as tf.Tensor2D, stream.weight(`${name}.bias`) as tf.Tensor1D);
}
