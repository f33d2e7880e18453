// A folder of images, one sub-folder per class, decoded with sharp when a batch asks for them.
import { SupernetError } from '../errors.ts';
import { importPackage, requireNode } from '../node-modules.ts';
import type { BatchContext, Dataset, HostBatch } from './dataset.ts';
import { imageClassification } from './images.ts';
import type { ImageOptions } from './images.ts';

/** Options of {@link imageFolder}. */
export interface ImageFolderOptions extends ImageOptions {
  /** Size the model wants, [height, width]; images are scaled to cover it and cut to the centre. */
  readonly size: readonly [height: number, width: number];
  /** Class names in index order. @defaultValue the sub-folders' names, sorted */
  readonly classes?: readonly string[] | undefined;
}

/** A dataset of image files, with the class names in index order. */
export interface ImageFolder extends Dataset {
  readonly classes: readonly string[];
  readonly files: readonly string[];
}

const IMAGE = /\.(jpe?g|png|webp|gif|tiff?|avif)$/i;

/**
 * Lists `folder/CLASS/*.{jpg,png,…}`. Files are decoded per batch: memory holds one batch. Needs the optional peer `sharp` (Node).
 *
 * @throws SupernetError `file-not-found`, `invalid-data` (no images, an image that cannot be decoded), `unsupported` without Node or sharp
 */
export async function imageFolder(folder: string, options: ImageFolderOptions): Promise<ImageFolder> {
  const instead = 'give decoded pixels to imageClassification';
  const { readdir, stat } = requireNode('node:fs/promises', `the folder of images ${folder}`, instead);
  const paths = requireNode('node:path', `the folder of images ${folder}`, instead);
  const decode = await loadDecoder();
  /** Names of files or folders, sorted; links count as what they point to. */
  const list = async (path: string, wanted: 'isFile' | 'isDirectory'): Promise<string[]> => {
    const entries = await readdir(path, { withFileTypes: true }).catch((cause: unknown) => {
      throw new SupernetError('file-not-found', `there is no folder ${path}`, { path }, { cause });
    });
    const names: string[] = [];
    for (const entry of entries) {
      const target = entry.isSymbolicLink() ? await stat(paths.join(path, entry.name)).catch(() => entry) : entry;
      if (target[wanted]()) names.push(entry.name);
    }
    return names.sort();
  };
  const classes = options.classes ?? (await list(folder, 'isDirectory'));
  const files: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classes.entries()) {
    for (const file of await list(paths.join(folder, name), 'isFile')) {
      if (!IMAGE.test(file)) continue;
      files.push(paths.join(folder, name, file));
      labels.push(label);
    }
  }
  if (files.length === 0) {
    throw new SupernetError('invalid-data', `${folder} has no images: expected ${folder}/CLASS/NAME.jpg`, { folder });
  }
  const [height, width] = options.size;
  const batch = async (indices: readonly number[], context?: BatchContext): Promise<HostBatch> => {
    const planes = await Promise.all(
      indices.map((index) => {
        const file = files[index];
        if (file === undefined) throw new SupernetError('invalid-data', `image ${index} of ${files.length}`, { index });
        return decode(file, height, width);
      }),
    );
    const pixels = new Uint8Array(planes.length * 3 * height * width);
    for (const [row, plane] of planes.entries()) pixels.set(plane, row * plane.length);
    const set = { pixels, labels: Int32Array.from(indices, (i) => labels[i] as number), channels: 3, height, width };
    return imageClassification(set, options).batch(
      indices.map((_, row) => row),
      context,
    );
  };
  return { length: files.length, classes, files, batch };
}

/** Decodes one file to planar RGB bytes. */
type Decoder = (file: string, height: number, width: number) => Promise<Uint8Array>;

async function loadDecoder(): Promise<Decoder> {
  const module = await importPackage('sharp').catch((cause: unknown) => {
    throw new SupernetError('unsupported', 'image folders need the package sharp: npm install sharp', {}, { cause });
  });
  const { default: sharp } = module as typeof import('sharp');
  return async (file, height, width) => {
    try {
      const { data } = await sharp(file)
        .rotate()
        .resize(width, height, { fit: 'cover' })
        .removeAlpha()
        .toColourspace('srgb')
        .raw()
        .toBuffer({ resolveWithObject: true });
      const plane = height * width;
      const out = new Uint8Array(3 * plane);
      for (let i = 0; i < plane; i++) {
        for (let c = 0; c < 3; c++) out[c * plane + i] = data[3 * i + c] as number;
      }
      return out;
    } catch (cause) {
      throw new SupernetError(
        'invalid-data',
        `cannot decode ${file}: ${(cause as Error).message}`,
        { file },
        { cause },
      );
    }
  };
}
