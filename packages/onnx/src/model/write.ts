// writeOnnxModel: the files of a model into a folder, complete or not at all.
import { OnnxError } from '../errors.ts';
import { requireNode } from './files.ts';
import { renderOnnxModel, type OnnxModelToWrite, type RenderedOnnxFile, type RenderOnnxOptions } from './render.ts';

/**
 * Writes a model (Node only; elsewhere {@link renderOnnxModel} gives the files): weights are read and written piece by piece, into the
 * model's file, or above 2 GiB into `.onnx_data` files beside it. Files get their names when all of them are complete.
 *
 * @param path - of the model's file
 * @returns the names of the files, in the folder of `path`
 * @throws OnnxError `file-access` (a full or read-only disk), `unsupported` without Node, `too-large`, `aborted`, and as reading weights throws
 *
 * @example
 * ```ts
 * import { openOnnxModel, writeOnnxModel } from '@hip/onnx/model';
 *
 * const model = await openOnnxModel('./large/model.onnx');
 * await writeOnnxModel(model, './out/model.onnx', { externalData: true });
 * await model.close();
 * ```
 */
export async function writeOnnxModel(
  model: OnnxModelToWrite,
  path: string,
  options: Omit<RenderOnnxOptions, 'file'> = {},
): Promise<readonly string[]> {
  const { mkdir, open, rename, rm } = requireNode(`writing ${path}`);
  const cut = path.lastIndexOf('/') + 1;
  const folder = path.slice(0, cut);
  const files = await renderOnnxModel(model, { ...options, file: path.slice(cut) });
  const partial = ({ name }: RenderedOnnxFile) => `${folder}.${name}.partial`;
  const failed = (cause: unknown): never => {
    const { code, message, syscall } = Object(cause) as NodeJS.ErrnoException;
    if (syscall === undefined) throw cause;
    throw new OnnxError('file-access', `cannot write ${path}: ${message}`, { path, code }, { cause });
  };
  try {
    if (folder !== '') await mkdir(folder, { recursive: true });
    for (const file of files) {
      const handle = await open(partial(file), 'w');
      try {
        for await (const chunk of file.chunks()) await handle.writeFile(chunk);
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
    for (const file of files) await rename(partial(file), folder + file.name);
  } catch (error) {
    await Promise.all(files.map((file) => rm(partial(file), { force: true }).catch(() => {})));
    failed(error);
  }
  return files.map(({ name }) => name);
}
