// Candidates as the GPU found them, as sampling takes them.
import type { Candidates } from '@hip/checkpoints/generation';
import type { Candidates as Found } from '@hip/kernels-webgpu/model';

/** @param temperature - of the sum of exponentials */
export function candidatesFrom({ ids, logits, max, sum }: Found, vocabulary: number, temperature: number): Candidates {
  const total = max / temperature + Math.log(sum);
  return {
    ids,
    logits,
    of: vocabulary,
    logSumExp: temperature === 1 ? total : NaN,
    scaledLogSumExp: total,
  };
}
