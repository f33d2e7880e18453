// Images with texts as datasets: pairs that belong together, and questions about images with scored answers.
import type { TextTokenizer } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';
import type { BatchContext, Dataset, HostBatch } from './dataset.ts';
import { textClassification } from './text-classification.ts';
import type { TextClassificationOptions } from './text-classification.ts';

/** A text and the image that it belongs to. */
export interface ImageText {
  /** Index into the images. */
  readonly image: number;
  readonly text: string;
}

/** A question about an image. */
export interface VisualQuestion extends ImageText {
  /** Score of each answer, 0…1: how many people gave it (Antol 2015). */
  readonly scores: readonly number[];
}

/**
 * Pairs of images and texts, for image-text retrieval: the other texts of a batch are what an image's own is told from.
 *
 * @param images - any dataset of images (`imageClassification`, `imageFolder`); their labels are not looked at
 * @throws SupernetError `invalid-data` for an empty list, a text without tokens, an image that is not there
 */
export function imageTextPairs(
  images: Dataset,
  pairs: readonly ImageText[],
  tokenizer: TextTokenizer,
  options: TextClassificationOptions = {},
): Dataset {
  const texts = textClassification(
    pairs.map(({ text }) => ({ text, label: 0 })),
    tokenizer,
    options,
  );
  return joined(images, pairs, texts, ({ size }) => ({
    labels: Int32Array.from({ length: 2 * size }, (_, row) => Math.floor(row / 2)),
  }));
}

/**
 * Questions about images, each answer with its score, for visual question answering.
 *
 * @param images - any dataset of images (`imageClassification`, `imageFolder`); their labels are not looked at
 * @throws SupernetError `invalid-data` for an empty list, a text without tokens, scores of unlike number, an image that is not there
 */
export function visualQuestions(
  images: Dataset,
  questions: readonly VisualQuestion[],
  tokenizer: TextTokenizer,
  options: TextClassificationOptions = {},
): Dataset {
  const texts = textClassification(
    questions.map(({ text, scores }) => ({ text, label: 0, values: scores })),
    tokenizer,
    options,
  );
  return joined(images, questions, texts, ({ labels, values }) => ({ labels, ...(values && { values }) }));
}

function joined(
  images: Dataset,
  rows: readonly ImageText[],
  texts: Dataset,
  targets: (batch: HostBatch) => Pick<HostBatch, 'labels' | 'values'>,
): Dataset {
  for (const [index, { image }] of rows.entries()) {
    if (Number.isInteger(image) && image >= 0 && image < images.length) continue;
    throw new SupernetError('invalid-data', `row ${index}: image ${image} of ${images.length}`, { index, image });
  }
  return {
    length: rows.length,
    batch: async (indices: readonly number[], context?: BatchContext): Promise<HostBatch> => {
      const ofTexts = await texts.batch(indices, context);
      const ofImages = await images.batch(
        indices.map((index) => (rows[index] as ImageText).image),
        context,
      );
      const { size, inputIds, attentionMask } = ofTexts;
      const { pixelValues } = ofImages;
      if (!pixelValues) throw new SupernetError('invalid-data', 'the images of a dataset have no pixels');
      return {
        size,
        pixelValues,
        ...(inputIds && { inputIds }),
        ...(attentionMask && { attentionMask }),
        ...targets(ofTexts),
      };
    },
  };
}
