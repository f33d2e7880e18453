// The weights of a checkpoint: one safetensors file or shards behind model.safetensors.index.json, opened lazily.
import { CheckpointError } from '../errors.ts';
import type { CheckpointFiles } from '../files/files.ts';
import { readJson } from '../files/files.ts';
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
  close(): Promise<void>;
}

/** Opens `model.safetensors`, or the shards its index lists. */
export async function openWeights(files: CheckpointFiles): Promise<CheckpointWeights> {
  const index = await readJson(files, INDEX);
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
    close: () => file.close(),
  };
}

function storedTensor(file: SafetensorsFile, name: string): StoredTensor {
  const info = file.tensors.get(name);
  if (!info) throw new CheckpointError('missing-weight', `${file.name} has no tensor ${name}`, { name });
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
        `${INDEX}: ${tensor} points to ${JSON.stringify(shard)}, not to a shard`,
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
  const shardWith = async (name: string): Promise<SafetensorsFile> => {
    const shard = shardOf.get(name);
    if (!shard) throw new CheckpointError('missing-weight', `${INDEX} lists no tensor ${name}`, { name });
    let file = open.get(shard);
    if (!file) {
      file = openShard(shard);
      open.set(shard, file);
    }
    return file;
  };
  return {
    names: new Set(shardOf.keys()),
    info: async (name) => storedTensor(await shardWith(name), name),
    read: async (name) => (await shardWith(name)).read(name),
    readRaw: async (name, options) => (await shardWith(name)).readRaw(name, options),
    close: async () => {
      await Promise.all([...open.values()].map(async (file) => (await file.catch(() => undefined))?.close()));
    },
  };
}
