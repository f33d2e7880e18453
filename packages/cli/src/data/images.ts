// A folder of images, one sub-folder a class, as the data of a task.
import {
  imageFolder,
  normalizationOf,
  splitDataset,
  type ImageFolder,
  type ImageOptions,
  type ModelConfig,
} from '@instatune/supernet';
import { TuneError } from '../errors.ts';
import { digest } from './digest.ts';
import { partSizes, type PartOptions } from './parts.ts';
import type { TaskData } from './task.ts';

/** How training images are varied. */
export const AUGMENTATIONS = ['crop', 'flip', 'mixup'] as const;
export type Augmentation = (typeof AUGMENTATIONS)[number];

/** Options of {@link imageTask}. */
export interface ImageTaskOptions extends PartOptions {
  /** Folder of a test set, with the same classes. @defaultValue a part of the images is kept back */
  readonly test?: string | undefined;
  /** Class names of the checkpoint: where they are the folders', their order is kept. @defaultValue none */
  readonly knownClasses?: readonly string[] | undefined;
  /** @defaultValue crop and flip */
  readonly augment?: readonly Augmentation[] | undefined;
  /** preprocessor_config.json of the checkpoint, for its mean and deviation. @defaultValue none */
  readonly preprocessor?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Data of an image classification task (Node; needs `sharp`).
 *
 * @throws TuneError `invalid-data`, `invalid-option`; SupernetError `unsupported` without sharp
 */
export async function imageTask(
  folder: string,
  patches: NonNullable<ModelConfig['patches']>,
  options: ImageTaskOptions = {},
): Promise<TaskData> {
  const { test, knownClasses = [], augment = ['crop', 'flip'], preprocessor = {}, seed = 0 } = options;
  const normalize = normalizationOf(preprocessor);
  const size = patches.imageSize;
  const common = { size, ...(normalize && { normalize }) };
  const variations: ImageOptions['augment'] = {
    ...(augment.includes('crop') && { leastArea: 0.5 }),
    ...(augment.includes('flip') && { flip: true }),
    ...(augment.includes('mixup') && { mixup: 0.8 }),
  };
  const plain = await imageFolder(folder, common);
  if (plain.classes.length < 2)
    throw new TuneError(
      'invalid-data',
      `${folder} has ${plain.classes.length} folder of images: each class has its own, two at least`,
      {
        classes: plain.classes,
      },
    );
  const sameSet =
    knownClasses.length === plain.classes.length && plain.classes.every((name) => knownClasses.includes(name));
  const classes = sameSet ? knownClasses : plain.classes;
  const whole = await imageFolder(folder, { ...common, classes, augment: variations });
  const tested = test === undefined ? undefined : await imageFolder(test, { ...common, classes });
  const sizes = partSizes(whole.length, { ...options, reportGiven: test !== undefined });
  const { train, validation, report } = splitDataset(whole, { ...sizes, seed });
  /** Class and name of each file, wherever the folder lies and however it is written. */
  const files = ({ files: list }: ImageFolder) => list.map((file) => file.split(/[\\/]/).slice(-2).join('/'));
  return {
    task: 'image-classification',
    problem: 'single_label_classification',
    train,
    validation,
    report: tested ?? report,
    classes,
    tokens: undefined,
    fingerprint: await digest([files(whole), tested ? files(tested) : null, classes, augment, seed, sizes]),
    described: `${train.length} images to train on, ${validation.length} to search by, ${(tested ?? report).length} ${tested ? 'of the test folder' : 'kept back'} to report; ${size.join(' × ')} pixels; ${classes.length} classes`,
  };
}
