// A decoder's weights in WebAssembly memory: blocks as they are stored, vectors as float32.
import type { OpenCheckpoint } from '@hip/checkpoints';
import type { Activation, CpuRuntime, StoredMatrix } from '@hip/kernels-cpu';
import type { EngineOptions, WeightChoice } from '../types.ts';
import { loadWeights, type DecoderWeights } from '../weights.ts';

export type WasmWeights = DecoderWeights<StoredMatrix, Activation>;

/** @throws what {@link loadWeights} throws */
export function loadWasmWeights(
  cpu: CpuRuntime,
  checkpoint: OpenCheckpoint,
  options: EngineOptions & { readonly weights: WeightChoice },
): Promise<WasmWeights> {
  const createVector = (values: Float32Array) => {
    const vector = cpu.createActivation(values.length);
    vector.view.set(values);
    return vector;
  };
  return loadWeights({ createMatrix: (shape) => cpu.createMatrix(shape), createVector }, checkpoint, options);
}
