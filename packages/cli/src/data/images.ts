// A folder of images, one sub-folder a class, as the data of a task.
import {
  imageFolder,
  normalizationOf,
  splitDataset,
  type ImageFolder,
  type ImageOptions,
  type ModelConfig,
} from '@instatune/supernet';
import { nodeModule } from '@hip/checkpoints/platform';
import { TuneError } from '../errors.ts';
import { digest } from './digest.ts';
import { partSizes, type PartOptions } from './parts.ts';
import type { TaskData } from './task.ts';

/** Files that are asked for their size at once. */
const TOGETHER = 64;

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
  return {
    task: 'image-classification',
    problem: 'single_label_classification',
    train,
    validation,
    report: tested ?? report,
    classes,
    tokens: undefined,
    fingerprint: await digest([
      await contents(whole),
      tested ? await contents(tested) : null,
      classes,
      augment,
      seed,
      sizes,
    ]),
    described: `${train.length} images to train on, ${validation.length} to search by, ${(tested ?? report).length} ${tested ? 'of the test folder' : 'kept back'} to report; ${size.join(' × ')} pixels; ${classes.length} classes`,
  };
}

/** Class, name and bytes of each file, wherever the folder lies and whenever it was copied: an image that was replaced is told by its size. */
async function contents({ files }: ImageFolder): Promise<string[]> {
  // A folder was listed: this is Node.
  const { stat } = nodeModule('node:fs/promises')!;
  const list: string[] = [];
  for (let at = 0; at < files.length; at += TOGETHER) {
    const sizes = await Promise.all(files.slice(at, at + TOGETHER).map(async (file) => (await stat(file)).size));
    for (const [index, size] of sizes.entries())
      list.push(`${files[at + index]!.split(/[\\/]/).slice(-2).join('/')} ${size}`);
  }
  return list;
}
