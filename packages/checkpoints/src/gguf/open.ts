// Opening a GGUF file: metadata in memory, tensors read on request, as stored or as float32; files in pieces joined.
import { CheckpointError } from '../errors.ts';
import type { ByteSource } from '../files/byte-source.ts';
import { closeOnError } from '../files/access.ts';
import { memorySource } from '../files/byte-source.ts';
import { brief, quoted } from '../quote.ts';
import type { CheckpointFiles } from '../files/files.ts';
import type { LoadedTensor } from '../safetensors/safetensors.ts';
import { rowRange } from '../weights/raw.ts';
import type { RawTensor, ReadRawOptions, StoredTensor } from '../weights/raw.ts';
import { dequantize } from './dequantize.ts';
import { readHeader } from './header.ts';
import type { GgufMetadata, GgufTensorInfo } from './header.ts';
import { GGUF_TYPES } from './types.ts';
import type { GgufDtype } from './types.ts';

/** An open GGUF file. */
export interface GgufFile {
  readonly name: string;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
  /** Type, shape and bytes. @throws CheckpointError as `read` */
  info(name: string): StoredTensor;
  /** A tensor as float32. @throws CheckpointError `missing-weight`, `unsupported-dtype` (a type that is not read, IQ2_XS say) */
  read(name: string): Promise<LoadedTensor>;
  /** A tensor's blocks as they are stored, whole or some rows. @throws CheckpointError as `read`, `invalid-shape` for rows it lacks */
  readRaw(name: string, options?: ReadRawOptions): Promise<RawTensor>;
  close(): Promise<void>;
}

/**
 * Opens a GGUF file: its metadata and the list of its tensors.
 *
 * @throws CheckpointError `invalid-gguf` with `details.damage`
 *
 * @example
 * ```ts
 * import { fileSource, openGguf } from '@hip/checkpoints';
 *
 * const file = await openGguf(await fileSource('./SmolLM2-135M-Instruct.Q4_1.gguf'));
 * const { dtype, shape, bytes } = await file.readRaw('blk.0.attn_q.weight', { rows: [0, 64] }); // a head
 * console.log(file.metadata.get('general.architecture'), dtype, shape, bytes.length); // => llama Q4_1 [ 64, 576 ] 23040
 * await file.close();
 * ```
 */
export async function openGguf(input: ByteSource | Uint8Array): Promise<GgufFile> {
  const source = input instanceof Uint8Array ? memorySource(input) : input;
  const { metadata, tensors } = await closeOnError(source, () => readHeader(source));
  const find = (name: string): GgufTensorInfo & { readonly dtype: GgufDtype } => {
    const info = tensors.get(name);
    if (!info) throw new CheckpointError('missing-weight', `${source.name} has no tensor ${brief(name)}`, { name });
    const { dtype, typeName } = info;
    if (dtype) return { ...info, dtype };
    const read = Object.keys(GGUF_TYPES).join(', ');
    const message = `tensor ${brief(name)} of ${source.name} is ${typeName}, which is not read (read: ${read}): take the model in another quantisation`;
    throw new CheckpointError('unsupported-dtype', message, { name, dtype: typeName });
  };
  const readRaw = async (name: string, options: ReadRawOptions = {}): Promise<RawTensor> => {
    const info = find(name);
    const part = rowRange(info, options.rows);
    return {
      name,
      dtype: info.dtype,
      shape: part.shape,
      bytes: await source.read(info.begin + part.begin, part.byteLength, options.into),
    };
  };
  return {
    name: source.name,
    metadata,
    tensors,
    info: (name) => {
      const { dtype, shape, byteLength } = find(name);
      return { name, dtype, shape, byteLength };
    },
    readRaw,
    read: async (name) => {
      const { bytes, shape } = await readRaw(name);
      return { name, shape, data: dequantize(bytes, find(name).dtype, name) };
    },
    close: () => source.close(),
  };
}

const PIECES_AT_ONCE = 8;

/** @throws CheckpointError `invalid-gguf` for pieces that do not make one model: a tensor twice, another number of tensors than told */
function requirePieces(pieces: readonly GgufFile[]): void {
  const [first] = pieces as [GgufFile];
  const seen = new Set<string>();
  for (const piece of pieces) {
    for (const name of piece.tensors.keys()) {
      if (!seen.has(name)) seen.add(name);
      else {
        const message = `${piece.name} has the tensor ${brief(name)}, which a piece before it has, too`;
        throw new CheckpointError('invalid-gguf', message, { damage: 'duplicate-name', tensor: name });
      }
    }
  }
  const told = first.metadata.get('split.tensors.count');
  if (told === undefined || told === seen.size) return;
  const message = `${first.name} tells of ${quoted(told)} tensors in all pieces, they have ${seen.size}`;
  throw new CheckpointError('invalid-gguf', message, { damage: 'truncated', told, tensors: seen.size });
}

const PIECE = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * Opens a GGUF file of a checkpoint; of a model in pieces (`name-00001-of-00003.gguf`) all of them, whichever is named.
 *
 * @throws CheckpointError `file-not-found`, `invalid-gguf`
 */
export async function openGgufFiles(files: CheckpointFiles, name: string): Promise<GgufFile> {
  const open = async (piece: string): Promise<GgufFile> => {
    const source = await files.open(piece);
    if (source) return openGguf(source);
    throw new CheckpointError('file-not-found', `${files.location} has no ${piece}`, {
      path: files.location,
      name: piece,
    });
  };
  const [, stem, , total] = PIECE.exec(name) ?? [];
  if (stem === undefined || total === undefined) return open(name);
  const names = Array.from(
    { length: Number(total) },
    (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}.gguf`,
  );
  const pieces: GgufFile[] = [];
  const close = async () => void (await Promise.all(pieces.map((piece) => piece.close())));
  await closeOnError({ close }, async () => {
    // A few at a time: a name may tell of ninety thousand pieces.
    for (let at = 0; at < names.length; at += PIECES_AT_ONCE) {
      const opened = await Promise.allSettled(names.slice(at, at + PIECES_AT_ONCE).map(open));
      for (const result of opened) if (result.status === 'fulfilled') pieces.push(result.value);
      const failed = opened.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
    }
    requirePieces(pieces);
  });
  const [first] = pieces as [GgufFile];
  const owner = (tensor: string) => pieces.find(({ tensors }) => tensors.has(tensor)) ?? first;
  return {
    name: first.name,
    metadata: first.metadata,
    tensors: new Map(pieces.flatMap(({ tensors }) => [...tensors])),
    info: (tensor) => owner(tensor).info(tensor),
    read: (tensor) => owner(tensor).read(tensor),
    readRaw: (tensor, options) => owner(tensor).readRaw(tensor, options),
    close,
  };
}
