// The weights of a checkpoint in GGUF, as those of safetensors are read.
import type { CheckpointWeights } from '../weights/weights.ts';
import type { GgufFile } from './open.ts';

/** A GGUF file's tensors. */
export function ggufWeights(file: GgufFile): CheckpointWeights {
  const tensors = [...file.tensors.values()];
  return {
    names: new Set(file.tensors.keys()),
    info: async (name) => file.info(name),
    read: (name) => file.read(name),
    readRaw: (name, options) => file.readRaw(name, options),
    // The bytes of types that are not read are not known.
    ...(tensors.every(({ dtype }) => dtype !== undefined) && {
      byteLength: tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0),
    }),
    inFileOrder: async (names) =>
      names.toSorted((a, b) => (file.tensors.get(a)?.begin ?? 0) - (file.tensors.get(b)?.begin ?? 0)),
    close: () => file.close(),
  };
}
