// Where the tokens of a pass stand in their texts: one after another, or, where sequences are padded, counted without the padding.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { hostValues } from './host-values.ts';
import { realTokens } from './real-rows.ts';
import type { ModelConfig } from '@hip/checkpoints';
import type { ForwardOptions, ModelInputs } from './types.ts';

/** Positions of the tokens [B, T] of a pass, counted from 0. */
export interface Positions {
  /** Of the first token of each sequence, where `ids` is absent: the others follow. */
  readonly offset: number;
  /** Tokens of each sequence. */
  readonly length: number;
  /** [B, T] int32 where sequences differ. */
  readonly ids?: tf.Tensor2D;
  /** All are below. */
  readonly end: number;
  /** Places of each sequence so far, padding counted. */
  readonly slots: number;
  /**
   * Tokens of each sequence so far, padding not counted, as far as sequences differ in it; `unknown` where that is on a device
   * only.
   */
  readonly tokens?: readonly number[] | 'unknown';
}

/** What a multiway model is to texts: their table of positions, no images. */
export function textConfig(config: ModelConfig): ModelConfig {
  return config.multiway ? { ...config, positionRows: config.textPositionRows ?? 0 } : config;
}

/** Learned rows there are; Infinity without a table. */
export function positionLimit({ positionRows, positionOffset }: ModelConfig): number {
  return positionRows > 0 ? positionRows - positionOffset : Infinity;
}

/**
 * Positions by the caller's `positionIds`, else by `positionOffset`, else by the mask, else one after another behind the cached
 * tokens. A causal model counts the real tokens before each; others what stands before it, less the padding in front (a mask
 * may hide tokens in between there, which keep their places).
 *
 * @throws SupernetError `invalid-input` beyond the model's positions
 */
export function positionsOf(config: ModelConfig, inputs: ModelInputs, options: ForwardOptions): Positions {
  const [, length] = (inputs.inputIds as tf.Tensor2D).shape;
  const cached = options.cache?.length ?? 0;
  const offset = options.positionOffset ?? cached;
  const slots = offset + length;
  const limit = positionLimit(config);
  const found: Positions = inputs.positionIds
    ? { ...givenPositions(inputs.positionIds, limit), slots }
    : inputs.attentionMask && options.positionOffset === undefined
      ? { ...maskedPositions(config, inputs.attentionMask, { cached, length, limit }), slots }
      : { offset, length, end: slots, slots };
  if (found.end > limit) {
    throw new SupernetError('invalid-input', `${found.end} tokens exceed the model's ${limit} positions`, {
      tokens: found.end,
      limit,
    });
  }
  return found;
}

function givenPositions(ids: tf.Tensor2D, limit: number): Omit<Positions, 'slots'> {
  const [batch, length] = ids.shape;
  const values = hostValues(ids);
  if (!values) {
    if (Number.isFinite(limit)) return { offset: 0, length, ids, end: limit, tokens: 'unknown' };
    throw new SupernetError(
      'unsupported',
      'positionIds of a rotary model are on a device only: give a tensor that was made of numbers of the host',
    );
  }
  const tokens = Array.from({ length: batch }, () => 0);
  for (let i = 0; i < values.length; i++) {
    const id = values[i] as number;
    const row = Math.floor(i / length);
    if (id >= 0 && id < limit) {
      tokens[row] = Math.max(tokens[row] as number, id + 1);
      continue;
    }
    const at = [row, i % length];
    throw new SupernetError(
      'invalid-input',
      `positionIds[${at.join(', ')}] = ${id}: expected 0…${limit === Infinity ? '' : limit - 1}`,
      { name: 'positionIds', id, at, limit },
    );
  }
  return { offset: 0, length, ids, end: Math.max(...tokens), tokens };
}

interface Extents {
  readonly cached: number;
  readonly length: number;
  readonly limit: number;
}

function maskedPositions(
  config: ModelConfig,
  mask: tf.Tensor2D,
  { cached, length, limit }: Extents,
): Omit<Positions, 'slots'> {
  const [batch, keys] = mask.shape;
  const values = hostValues(mask);
  if (!values) {
    if (config.slidingWindows && cached > 0) throw windowedPadding();
    return {
      offset: cached,
      length,
      ids: tf.tidy(() => countOnDevice(config, mask, length)),
      end: Math.min(keys, limit),
      tokens: 'unknown',
    };
  }
  const ids = new Int32Array(batch * length);
  const tokens: number[] = [];
  let [end, isPlain] = [0, keys <= limit];
  for (let row = 0; row < batch; row++) {
    let [real, leading, isOpen] = [0, 0, false];
    for (let key = 0; key < keys; key++) {
      const isReal = values[row * keys + key] !== 0;
      if (!isReal && real === 0) leading++;
      if (isReal && isOpen && config.slidingWindows) throw windowedPadding();
      isOpen = real > 0 && !isReal;
      const position = config.causal ? real - (isReal ? 0 : 1) : key - leading;
      if (isReal) [real, end] = [real + 1, Math.max(end, position + 1)];
      if (key < cached) continue;
      // Where padding stands is nobody's business, as long as there is such a row.
      ids[row * length + key - cached] = Math.max(0, Math.min(position, limit - 1));
      if (isReal && position !== key) isPlain = false;
    }
    tokens.push(real);
  }
  if (isPlain) return { offset: cached, length, end: keys, tokens };
  return { offset: cached, length, ids: tf.tensor2d(ids, [batch, length], 'int32'), end, tokens };
}

/** The same of a mask that is on a device only: positions [B, T] of its last T columns. */
function countOnDevice(config: ModelConfig, mask: tf.Tensor2D, length: number): tf.Tensor2D {
  const [batch, keys] = mask.shape;
  const counted = tf.cumsum(realTokens(mask), 1);
  const leading = tf.sum(tf.cast(tf.equal(counted, 0), 'float32'), 1, true);
  const all = config.causal ? tf.sub(counted, 1) : tf.sub(tf.reshape(tf.range(0, keys), [1, keys]), leading);
  const last = tf.slice2d(tf.cast(all, 'float32') as tf.Tensor2D, [0, keys - length], [batch, length]);
  return tf.cast(tf.clipByValue(last, 0, Math.min(keys, positionLimit(config)) - 1), 'int32');
}

function windowedPadding(): SupernetError {
  return new SupernetError(
    'unsupported',
    'padding between the tokens of a sequence would count in the sliding windows of this model: pad on the left, or run the sequences one by one',
  );
}
