// Candidates as the GPU found them, as sampling takes them.
import type { Candidates } from '@hip/checkpoints/generation';
import type { Candidates as Found } from '@hip/kernels-webgpu/model';

/** @param temperature - of the sum of tempered exponentials */
export function candidatesFrom(
  { ids, logits, max, sum, temperedSum }: Found,
  vocabulary: number,
  temperature: number,
): Candidates {
  return {
    ids,
    logits,
    of: vocabulary,
    logSumExp: max + Math.log(sum),
    scaledLogSumExp: max / temperature + Math.log(temperedSum),
  };
}
