// What a model's outputs are to a loss: scores of one class, of any number of classes, or values; and their rows.
import * as tf from '@tensorflow/tfjs';
import { problemType, type ModelConfig } from '@hip/checkpoints';
import type { HostBatch } from '../../data/dataset.ts';
import { SupernetError } from '../../errors.ts';
import { createTargets } from './targets.ts';
import { flatten } from './losses.ts';
import type { OutputKind, Targets } from './targets.ts';

/** How a model's outputs are compared with what is right. */
export function outputKind(config: Pick<ModelConfig, 'head' | 'labels' | 'raw'>): OutputKind {
  if (config.head === 'sentence-embedding') return 'embedding';
  const problem = problemType(config);
  if (problem === 'single_label_classification') return 'softmax';
  return problem === 'regression' ? 'squared' : 'sigmoid';
}

/**
 * Targets of a batch for a model's outputs. The caller disposes (`disposeTargets`).
 *
 * @throws SupernetError `invalid-data` for a batch without what the outputs are compared with
 */
export function batchTargets(config: ModelConfig, { labels, values }: HostBatch): Targets {
  const kind = outputKind(config);
  if (kind === 'softmax') return createTargets(labels);
  if (kind === 'embedding') return { ...createTargets(labels), kind };
  const width = config.labels;
  if (!values || values.shape[0] !== labels.length || values.shape[1] !== width) {
    const found = values ? `[${values.shape.join(', ')}]` : 'none';
    const message = `values ${found}: a ${problemType(config)} model of ${width} outputs learns from values [${labels.length}, ${width}]`;
    throw new SupernetError('invalid-data', message, { shape: values?.shape, outputs: width });
  }
  for (let i = 0; i < values.data.length; i++) {
    const value = values.data[i] as number;
    const isRight = kind === 'sigmoid' ? value >= 0 && value <= 1 : Number.isFinite(value);
    if (isRight || (labels[Math.floor(i / width)] as number) < 0) continue;
    const at = [Math.floor(i / width), i % width];
    const expected = kind === 'sigmoid' ? 'a number 0…1' : 'a finite number';
    throw new SupernetError('invalid-data', `values[${at.join(', ')}] = ${value}: expected ${expected}`, { at, value });
  }
  const targets = createTargets(labels);
  // Answers to a question count each by itself (BEiT-3); elsewhere a row's loss is the mean over its outputs, as in transformers.
  const share = config.head === 'visual-question-answering' ? 1 : 1 / width;
  return { ...targets, kind, share, values: tf.tensor2d(values.data, [labels.length, width]) };
}

/**
 * Logits as rows, one a label: [B, T, V] or [B, V] → [N, V]. Similarities of images and texts [B, B] become two rows a pair: its image against
 * all texts, its text against all images.
 *
 * @throws SupernetError `invalid-data` when the labels do not fit the logits
 */
export function outputRows(config: ModelConfig, logits: tf.Tensor, targets: Targets): tf.Tensor2D {
  if (config.head !== 'image-text-retrieval') return flatten(logits, targets);
  const [images, texts] = logits.shape as [number, number];
  if (images !== texts || logits.size !== images * texts) {
    const message = `${images} images and ${texts} texts: retrieval learns from pairs`;
    throw new SupernetError('invalid-data', message, { images, texts });
  }
  return flatten(tf.stack([logits, tf.transpose(logits)], 1), targets);
}

/** Outputs of a model for each row: what its labels are classes of. */
export function outputCount({ head, vocabSize, labels }: ModelConfig): number {
  return head === 'causal-lm' || head === 'masked-lm' ? vocabSize : labels;
}
