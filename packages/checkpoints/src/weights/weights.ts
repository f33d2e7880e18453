// The weights of a checkpoint: one safetensors file or shards behind model.safetensors.index.json, opened lazily.
import { CheckpointError } from '../errors.ts';
import { brief, quoted } from '../quote.ts';
import type { CheckpointFiles } from '../files/files.ts';
import { optionalJson } from '../files/files.ts';
import { openSafetensors } from '../safetensors/safetensors.ts';
import type { LoadedTensor, SafetensorsFile } from '../safetensors/safetensors.ts';
import type { RawTensor, ReadRawOptions, StoredTensor } from './raw.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** All tensors of a checkpoint, wherever they are stored. */
export interface CheckpointWeights {
  readonly names: ReadonlySet<string>;
  /** @throws CheckpointError `missing-weight`. */
  read(name: string): Promise<LoadedTensor>;
  /** Type, shape and bytes of a tensor, without reading it. @throws CheckpointError `missing-weight`, `unsupported-dtype` */
  info(name: string): Promise<StoredTensor>;
  /** As it is stored. @throws CheckpointError `missing-weight`, `invalid-shape` for rows it lacks */
  readRaw(name: string, options?: ReadRawOptions): Promise<RawTensor>;
  /** Bytes of all tensors, where that is known without opening more files. */
  readonly byteLength?: number;
  /** The names in the order in which their bytes lie: read so, a remote file travels once. @defaultValue as they come */
  inFileOrder?(names: readonly string[]): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Opens `model.safetensors`, or the shards its index lists. */
export async function openWeights(files: CheckpointFiles): Promise<CheckpointWeights> {
  const index = await optionalJson(files, INDEX);
  if (index) return openShards(files, index);
  const source = await files.open(SINGLE);
  if (!source) {
    throw new CheckpointError('file-not-found', `${files.location} has neither ${SINGLE} nor ${INDEX}`, {
      location: files.location,
    });
  }
  const file = await openSafetensors(source);
  return {
    names: new Set(file.tensors.keys()),
    info: async (name) => storedTensor(file, name),
    read: (name) => file.read(name),
    readRaw: (name, options) => file.readRaw(name, options),
    byteLength: [...file.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0),
    inFileOrder: async (names) => byPlace(names, (name) => file.tensors.get(name)?.begin),
    close: () => file.close(),
  };
}

/** Names by the place of their first byte; those without one last. */
function byPlace(names: readonly string[], placeOf: (name: string) => number | undefined): readonly string[] {
  return names.toSorted((a, b) => (placeOf(a) ?? Infinity) - (placeOf(b) ?? Infinity) || 0);
}

function storedTensor(file: SafetensorsFile, name: string): StoredTensor {
  const info = file.tensors.get(name);
  if (!info) throw new CheckpointError('missing-weight', `${file.name} has no tensor ${brief(name)}`, { name });
  return { name, dtype: info.dtype, shape: info.shape, byteLength: info.end - info.begin };
}

function openShards(files: CheckpointFiles, index: Record<string, unknown>): CheckpointWeights {
  const map = index['weight_map'];
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new CheckpointError('invalid-config', `${files.location}/${INDEX} has no weight_map`, { file: INDEX });
  }
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    // A shard is a plain file beside the index: no folders, no way out of the checkpoint.
    if (typeof shard !== 'string' || !/^[^/\\]+\.safetensors$/.test(shard)) {
      throw new CheckpointError(
        'invalid-config',
        `${INDEX}: ${brief(tensor)} points to ${quoted(shard)}, not to a shard`,
        {
          tensor,
          shard,
        },
      );
    }
    shardOf.set(tensor, shard);
  }
  const open = new Map<string, Promise<SafetensorsFile>>();
  const openShard = async (shard: string): Promise<SafetensorsFile> => {
    const source = await files.open(shard);
    if (!source) {
      throw new CheckpointError('file-not-found', `${files.location} has no ${shard}, which ${INDEX} lists`, { shard });
    }
    return openSafetensors(source);
  };
  const fileOf = (shard: string): Promise<SafetensorsFile> => {
    const file = open.get(shard) ?? openShard(shard);
    open.set(shard, file);
    return file;
  };
  const shardWith = async (name: string): Promise<SafetensorsFile> => {
    const shard = shardOf.get(name);
    if (!shard) throw new CheckpointError('missing-weight', `${INDEX} lists no tensor ${brief(name)}`, { name });
    return fileOf(shard);
  };
  return {
    names: new Set(shardOf.keys()),
    info: async (name) => storedTensor(await shardWith(name), name),
    read: async (name) => (await shardWith(name)).read(name),
    readRaw: async (name, options) => (await shardWith(name)).readRaw(name, options),
    inFileOrder: async (names) => {
      // A shard that is not there, or damaged, says so when its tensors are read.
      const shards = [...new Set(names.map((name) => shardOf.get(name)))];
      const files = await Promise.all(
        shards.map(async (shard) => (shard === undefined ? undefined : fileOf(shard).catch(() => undefined))),
      );
      return files.flatMap((file, i) =>
        byPlace(
          names.filter((name) => shardOf.get(name) === shards[i]),
          (name) => file?.tensors.get(name)?.begin,
        ),
      );
    },
    close: async () => {
      await Promise.all([...open.values()].map(async (file) => (await file.catch(() => undefined))?.close()));
    },
  };
}
