// The weights of a checkpoint in GGUF, as those of safetensors are read.
import type { CheckpointWeights } from '../weights/weights.ts';
import type { GgufFile } from './open.ts';

/** A GGUF file's tensors. */
export function ggufWeights(file: GgufFile): CheckpointWeights {
  return {
    names: new Set(file.tensors.keys()),
    info: async (name) => file.info(name),
    read: (name) => file.read(name),
    readRaw: (name, options) => file.readRaw(name, options),
    close: () => file.close(),
  };
}
