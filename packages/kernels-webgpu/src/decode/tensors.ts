// What a layer's attention reads and writes beside its cache.
import type { GpuTensor } from '../dispatch/tensor.ts';

/** Tensors of a step or a chunk: q, out [rows, H, d]; k, v [rows, Hkv, d]; all stored as the cache stores. */
export interface StepTensors {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
}

/** Whether two steps bind the same. */
export function sameTensors(a: StepTensors, b: StepTensors): boolean {
  return (['q', 'k', 'v', 'out'] as const).every((name) =>
    (['buffer', 'offset', 'length', 'type'] as const).every((part) => a[name][part] === b[name][part]),
  );
}
