// openOnnxModel: a model as typed objects, its weights read one by one when they are asked for.
import { OnnxError, shown } from '../errors.ts';
import { bytesOf, DATA_TYPES, dataTypeName } from './data-types.ts';
import { EXTERNAL, externalPlace, externalWeight, rangeWeight } from './external.ts';
import { bytesFile, folderFiles, memoryFiles, requireNode, type OnnxFile, type OnnxFiles } from './files.ts';
import { checkGraph } from './graph.ts';
import { skimModel } from './skim.ts';
import type { GraphProto, ModelProto, TensorProto } from './types.ts';
import { embeddedWeight, wrongSize, type OnnxWeight } from './weight.ts';
import { tensorsOf } from './walk.ts';

/** A model: the graph as objects, weights by need. */
export interface OnnxModel {
  /** The whole message; initializers of `proto.graph` without long elements ({@link OnnxModel.weight} has them). */
  readonly proto: ModelProto;
  /** `proto.graph`. Nodes are in an order in which they can run. */
  readonly graph: GraphProto;
  /** The elements of a tensor of this model. @throws OnnxError `unsupported` for strings */
  weight(tensor: TensorProto): OnnxWeight;
  /** Closes the files. Weights cannot be read after that. */
  close(): Promise<void>;
}

/** Options of {@link openOnnxModel}. */
export interface OpenOnnxOptions {
  /** Name of the model's file, where `source` is a folder or {@link OnnxFiles}. @defaultValue 'model.onnx' */
  readonly file?: string | undefined;
  /** Files of external data by name, where `source` is bytes. */
  readonly externalData?: Readonly<Record<string, Uint8Array | Blob>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens an ONNX model. Of its file only the graph is read; weights inside it or in files beside it (external data) are read by ranges,
 * when they are asked for, so that a model of many GiB takes the memory of its graph.
 *
 * Checked before it is returned: the message, the graph (every input defined, no cycle), and of every tensor that its elements are
 * there and as many as its shape says.
 *
 * @param source - bytes of a model, the path of a `.onnx` file or its folder (Node), or {@link OnnxFiles}
 * @throws OnnxError `file-not-found`, `file-access`, `invalid-model`, `invalid-graph`, `missing-data` (external data), `unsupported`, `aborted`
 *
 * @example
 * ```ts
 * import { openOnnxModel } from '@hip/onnx/model';
 *
 * const model = await openOnnxModel('./model/onnx/model.onnx');
 * console.log(model.graph.input[0]?.name); // => input_ids
 * for (const tensor of model.graph.initializer) {
 *   const bytes = await model.weight(tensor).read(); // tensor.dataType, tensor.dims
 * }
 * await model.close();
 * ```
 */
export async function openOnnxModel(
  source: Uint8Array | string | OnnxFiles,
  options: OpenOnnxOptions = {},
): Promise<OnnxModel> {
  const { files, name, main } = await locate(source, options);
  const opened = new Map<string, OnnxFile | undefined>([[name, main]]);
  const close = async (): Promise<void> => {
    const all = [...opened.values()].flatMap((file) => file ?? []);
    opened.clear();
    await Promise.all(all.map((file) => file.close()));
  };
  try {
    const { proto, ranges } = await skimModel(main, options.signal);
    const graph = proto.graph as GraphProto;
    checkGraph(graph, proto.functions);
    const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/') + 1) : '';
    const external = new Map<TensorProto, OnnxWeight>();
    for (const tensor of tensorsOf(proto)) {
      const range = ranges.get(tensor);
      if (tensor.dataLocation === EXTERNAL) {
        const place = externalPlace(tensor);
        const path = folder + place.location;
        if (!opened.has(path)) opened.set(path, await files.open(path));
        external.set(tensor, externalWeight(tensor, place, opened.get(path), files.location));
      } else if (range) {
        const expected = bytesOf(tensor.dataType, tensor.dims, tensor.name);
        if (range.length !== expected) throw wrongSize(tensor, range.length, expected);
        external.set(tensor, rangeWeight(main, range.offset, range.length));
      } else if (tensor.dataType !== DATA_TYPES.string && dataTypeName(tensor.dataType)) embeddedWeight(tensor);
    }
    return { proto, graph, weight: (tensor) => external.get(tensor) ?? embeddedWeight(tensor), close };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

async function locate(
  source: Uint8Array | string | OnnxFiles,
  options: OpenOnnxOptions,
): Promise<{ files: OnnxFiles; name: string; main: OnnxFile }> {
  if (source instanceof Uint8Array) {
    const files = memoryFiles(options.externalData ?? {}, 'options.externalData');
    return { files, name: '', main: bytesFile(source) };
  }
  if (source === '' || (typeof source !== 'string' && typeof (source as OnnxFiles | undefined)?.open !== 'function')) {
    const message = `the model is ${shown(source)}: give a path, the bytes (a Uint8Array), or files by name`;
    throw new OnnxError('invalid-option', message, {});
  }
  let files: OnnxFiles;
  let name = options.file ?? 'model.onnx';
  if (typeof source === 'string') {
    const isFolder = await requireNode(`the path ${source}`)
      .stat(source)
      .then(
        (found) => found.isDirectory(),
        () => options.file !== undefined,
      );
    const cut = source.lastIndexOf('/');
    files = folderFiles(isFolder ? source.replace(/(?<=.)\/+$/, '') : source.slice(0, Math.max(cut, 0)));
    // A folder that is not there is one all the same.
    if (!isFolder && cut < source.length - 1) name = source.slice(cut + 1);
    if (!isFolder && cut === 0) files = folderFiles('/');
  } else files = source;
  const main = await files.open(name);
  if (main) return { files, name, main };
  throw new OnnxError('file-not-found', `there is no ${name} in ${files.location || '.'}`, {
    name,
    location: files.location,
  });
}
