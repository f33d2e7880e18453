// Whether inputs fit a model: ranks, element types and shapes of tensors, and the range of ids wherever they are in host memory.
import * as tf from '@tensorflow/tfjs';
import type { HostBatch } from '../data/dataset.ts';
import { imageTokens } from '../elastic/cost.ts';
import { SupernetError } from '../errors.ts';
import type { ModelConfig } from '@hip/checkpoints';
import type { ModelInputs } from './types.ts';
import { HOST_BACKENDS } from './host-values.ts';

/**
 * Checks the inputs of a forward pass after `cached` tokens.
 *
 * @throws SupernetError `invalid-input`
 */
export function checkInputs(config: ModelConfig, inputs: ModelInputs, cached: number): void {
  const { inputIds, attentionMask, tokenTypeIds, positionIds, pixelValues } = inputs;
  let [batch, tokens] = [0, 0];
  const [images, texts] = modalities(config, inputs);
  if (images && config.patches) {
    if (!pixelValues)
      throw new SupernetError('invalid-input', `${config.family} needs pixelValues [batch, channels, height, width]`);
    const { channels, imageSize } = config.patches;
    requireTensor('pixelValues', pixelValues, ['float32'], ['batch', channels, ...imageSize]);
    [batch, tokens] = [pixelValues.shape[0], imageTokens(config) as number];
  }
  if (texts) {
    if (!inputIds) throw new SupernetError('invalid-input', `${config.family} needs inputIds [batch, length]`);
    // Images and texts that are compared need not be as many; fused they are pairs.
    const isPair = images && config.head !== 'image-text-retrieval';
    requireTensor(
      'inputIds',
      inputIds,
      ['int32'],
      [isPair ? batch : 'batch', 'length'],
      isPair ? ': a text an image' : '',
    );
    if (inputIds.size === 0) {
      throw new SupernetError('invalid-input', 'inputIds has no tokens', { shape: inputIds.shape });
    }
    [batch, tokens] = inputIds.shape;
    if (tokenTypeIds) requireTensor('tokenTypeIds', tokenTypeIds, ['int32'], [batch, tokens], ', as inputIds');
    if (positionIds) requireTensor('positionIds', positionIds, ['int32'], [batch, tokens], ', as inputIds');
    if (HOST_BACKENDS.includes(tf.getBackend())) {
      checkIds(config, 'inputIds', inputIds.dataSync(), { columns: tokens });
      if (tokenTypeIds) checkIds(config, 'tokenTypeIds', tokenTypeIds.dataSync(), { columns: tokens });
    }
  }
  if (attentionMask) {
    const keys = cached > 0 ? `: ${cached} cached tokens and ${tokens} new ones` : ', a number for every token';
    requireTensor('attentionMask', attentionMask, ['int32', 'float32', 'bool'], [batch, cached + tokens], keys);
  }
}

/** Which kinds of input a pass reads: a multiway model those that are given, where its head does not need both. */
function modalities(config: ModelConfig, { pixelValues, inputIds }: ModelInputs): readonly [boolean, boolean] {
  if (!config.multiway) return [config.patches !== undefined, config.patches === undefined];
  if (config.head === 'visual-question-answering') return [true, true];
  if (pixelValues || inputIds) return [pixelValues !== undefined, inputIds !== undefined];
  throw new SupernetError('invalid-input', `${config.family} needs pixelValues, inputIds or both`);
}

/**
 * Checks the ids of a batch before they become tensors.
 *
 * @throws SupernetError `invalid-data`
 */
export function checkBatchIds(config: ModelConfig, { inputIds, tokenTypeIds }: HostBatch): void {
  if (config.patches && !config.multiway) return;
  const code = 'invalid-data';
  if (inputIds) checkIds(config, 'inputIds', inputIds.data, { columns: inputIds.shape[1], code });
  if (tokenTypeIds) checkIds(config, 'tokenTypeIds', tokenTypeIds.data, { columns: tokenTypeIds.shape[1], code });
}

/**
 * Checks ids in host memory: a GPU looks up zeros for an id that is none, and says nothing.
 *
 * @param options.columns row length of ids [rows, columns]. @defaultValue one row
 */
export function checkIds(
  config: ModelConfig,
  name: 'ids' | 'inputIds' | 'tokenTypeIds',
  ids: ArrayLike<number>,
  options: { readonly columns?: number | undefined; readonly code?: 'invalid-input' | 'invalid-data' } = {},
): void {
  const isTypes = name === 'tokenTypeIds';
  const size = isTypes ? config.typeVocabSize : config.vocabSize;
  // A model without segments, or with one type of them, does not look at them.
  if (isTypes && size <= 1) return;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (id >= 0 && id < size && Number.isInteger(id)) continue;
    const { columns, code = 'invalid-input' } = options;
    const at = columns === undefined ? [i] : [Math.floor(i / columns), i % columns];
    const owner = isTypes ? `the model has ${size} segment types` : `the vocabulary has ${size} tokens`;
    throw new SupernetError(code, `${name}[${at.join(', ')}] = ${id}: ${owner}, expected an integer 0…${size - 1}`, {
      name,
      id,
      at,
      [isTypes ? 'typeVocabSize' : 'vocabSize']: size,
    });
  }
}

/** `expected` are extents, or words for those that may be any. */
function requireTensor(
  name: string,
  { dtype, shape }: tf.Tensor,
  dtypes: readonly tf.DataType[],
  expected: readonly (number | string)[],
  because = '',
): void {
  const fits = shape.length === expected.length && expected.every((extent, axis) => isExtent(extent, shape[axis]));
  if (!fits) {
    const message = `${name} [${shape.join(', ')}]: expected [${expected.join(', ')}]${because}`;
    throw new SupernetError('invalid-input', message, { name, shape, expected });
  }
  if (!dtypes.includes(dtype)) {
    throw new SupernetError('invalid-input', `${name} is ${dtype}: expected ${dtypes.join(', ')}`, { name, dtype });
  }
}

function isExtent(expected: number | string, extent: number | undefined): boolean {
  return typeof expected === 'string' || expected === extent;
}
