// From ids or pixels to the first hidden state: token, position, segment and patch embeddings.
import * as tf from '@tensorflow/tfjs';
import { embed, repeatRow } from './embedding.ts';
import { linear } from './matmul.ts';
import { textConfig } from './positions.ts';
import type { Positions } from './positions.ts';
import type { Stream } from './stream.ts';
import type { ModelConfig } from '@hip/checkpoints';
import type { ModelInputs } from './types.ts';

/** First hidden state [B·T, D] and its extents. */
export interface Embedded {
  /** Tokens of images, which come first, in a multiway model. */
  readonly split?: number;
  readonly hidden: tf.Tensor2D;
  readonly batch: number;
  readonly length: number;
}

/**
 * Embeds the inputs of a forward pass, which have been checked.
 *
 * @param positions of tokens; absent for images
 */
export function embedInputs(
  config: ModelConfig,
  stream: Stream,
  inputs: ModelInputs,
  positions: Positions | undefined,
): Embedded {
  if (config.multiway) return embedBoth(config, stream, inputs, positions);
  return positions ? embedTokens(config, stream, inputs, positions) : embedPixels(config, stream, inputs);
}

/** Image, text, or the image's tokens before the text's; each part has its own positions. */
function embedBoth(
  config: ModelConfig,
  stream: Stream,
  inputs: ModelInputs,
  positions: Positions | undefined,
): Embedded {
  const image = inputs.pixelValues && embedPixels(config, stream, inputs);
  const ofText: Stream = {
    ...stream,
    lookUp: (table, rows) => stream.lookUp(table.replace('embeddings.position', 'language.position'), rows),
  };
  const text = positions && embedTokens(textConfig(config), ofText, inputs, positions);
  if (!image || !text) return { ...((image ?? text) as Embedded), split: image?.length ?? 0 };
  const { batch } = image;
  const { width: d } = stream;
  const parts = [image, text].map(({ hidden, length }) => tf.reshape(hidden, [batch, length, d]));
  const length = image.length + text.length;
  return { hidden: tf.reshape(tf.concat(parts, 1), [batch * length, d]), batch, length, split: image.length };
}

function embedTokens(config: ModelConfig, stream: Stream, inputs: ModelInputs, positions: Positions): Embedded {
  const ids = inputs.inputIds as tf.Tensor2D;
  const [batch, length] = ids.shape;
  const flat = tf.reshape(ids, [batch * length]) as tf.Tensor1D;
  const { width: d } = stream;
  let hidden = stream.lookUp('embeddings.token.weight', (table) => embed(table, flat));
  const addPerToken = (table: tf.Tensor2D): void => {
    hidden = tf.reshape(tf.add(tf.reshape(hidden, [batch, length, d]), tf.reshape(table, [1, length, d])), [
      batch * length,
      d,
    ]);
  };
  if (config.typeVocabSize > 0) {
    const types = 'embeddings.type.weight';
    // A model of one segment type makes no difference between texts.
    const typeIds = config.typeVocabSize > 1 ? inputs.tokenTypeIds : undefined;
    hidden = typeIds
      ? tf.add(
          hidden,
          stream.lookUp(types, (table) => embed(table, tf.reshape(typeIds, [batch * length]) as tf.Tensor1D)),
        )
      : tf.add(
          hidden,
          stream.lookUp(types, (table) => tf.slice2d(table, [0, 0], [1, table.shape[1]])),
        );
  }
  if (config.positionRows > 0) {
    const rows = 'embeddings.position.weight';
    const first = config.positionOffset;
    if (config.positionsSkipPadding && !inputs.positionIds) {
      hidden = tf.add(
        hidden,
        stream.lookUp(rows, (table) => embed(table, paddedPositions(ids, config))),
      );
    } else if (positions.ids) {
      const at = tf.add(tf.reshape(positions.ids, [batch * length]), tf.scalar(first, 'int32'));
      hidden = tf.add(
        hidden,
        stream.lookUp(rows, (table) => embed(table, at as tf.Tensor1D)),
      );
    } else {
      addPerToken(
        stream.lookUp(rows, (table) => tf.slice2d(table, [positions.offset + first, 0], [length, table.shape[1]])),
      );
    }
  }
  if (config.embeddingNorm) hidden = stream.norm(hidden, 'embeddings.norm', 'layer');
  if (config.zeroPadding && inputs.attentionMask) {
    const real = tf.reshape(tf.cast(inputs.attentionMask, 'float32'), [batch * length, 1]);
    hidden = tf.mul(hidden, real);
  }
  return { hidden: stream.mask(hidden), batch, length };
}

/** RoBERTa: position = padding_idx + running count of real tokens; padding takes padding_idx. */
function paddedPositions(ids: tf.Tensor2D, config: ModelConfig): tf.Tensor1D {
  const padding = config.positionOffset - 1;
  const real = tf.cast(tf.notEqual(ids, tf.scalar(padding, 'int32')), 'float32');
  const positions = tf.add(tf.mul(tf.cumsum(real, 1), real), padding);
  return tf.reshape(tf.cast(positions, 'int32'), [-1]) as tf.Tensor1D;
}

function embedPixels(config: ModelConfig, stream: Stream, inputs: ModelInputs): Embedded {
  const pixels = inputs.pixelValues as tf.Tensor4D;
  const patches = config.patches as NonNullable<ModelConfig['patches']>;
  const [height, width] = patches.imageSize;
  const [batch, channels] = pixels.shape;
  const [ph, pw] = patches.patchSize;
  const [rows, columns] = [Math.floor(height / ph), Math.floor(width / pw)];
  const { width: d, weight } = stream;
  const cropped = tf.slice4d(pixels, [0, 0, 0, 0], [batch, channels, rows * ph, columns * pw]);
  // [B, C, rows, ph, columns, pw] → [B·patches, ph·pw·C]: a stride-p convolution as one product.
  const blocks = tf.transpose(tf.reshape(cropped, [batch, channels, rows, ph, columns, pw]), [0, 2, 4, 3, 5, 1]);
  const count = rows * columns;
  const flat: tf.Tensor2D = tf.reshape(blocks, [batch * count, ph * pw * channels]);
  const projected = linear(
    flat,
    weight('embeddings.patch.weight') as tf.Tensor2D,
    weight('embeddings.patch.bias') as tf.Tensor1D,
  );
  const tokens = ['embeddings.class', ...(patches.prefixTokens > 1 ? ['embeddings.distillation'] : [])];
  const prefix = tokens.map((name) => tf.reshape(repeatRow(weight(name) as tf.Tensor1D, batch), [batch, 1, d]));
  const sequence = tf.concat([...prefix, tf.reshape(projected, [batch, count, d])], 1);
  const length = count + tokens.length;
  const table = stream.lookUp('embeddings.position.weight', (all) =>
    tf.slice2d(all, [config.positionOffset, 0], [length, all.shape[1]]),
  );
  const hidden = tf.add(sequence, tf.reshape(table, [1, length, d]));
  return { hidden: stream.mask(tf.reshape(hidden, [batch * length, d])), batch, length };
}
