// Which batches' passes may be recorded and played.
import type { HostArray, HostBatch } from '../../data/dataset.ts';
import { onWebGpu } from '../../webgpu/tfjs-backend.ts';
import { outputCount } from '../losses/outputs.ts';
import type { StepContext } from './step-context.ts';
import type { Targets } from '../losses/targets.ts';

/** Whether the passes of a batch depend on the values of its tensors through the GPU alone. */
export function canRecord(
  { model, attention, recorder }: StepContext,
  batch: HostBatch,
  { kind, largest = -1 }: Targets,
): boolean {
  if (!recorder || !onWebGpu() || attention) return false;
  // A label that is no class is told where the loss is made.
  if (kind === undefined && largest >= outputCount(model.config)) return false;
  const { attentionMask } = batch;
  if (!attentionMask) return true;
  // Positions and last tokens of other padding are counted on the host.
  return !model.config.causal && isPaddedBehind(attentionMask);
}

function isPaddedBehind({ shape, data }: HostArray<Int32Array>): boolean {
  const columns = shape[1] as number;
  return (
    data.every((value, at) => value === 0 || at % columns === 0 || data[at - 1] !== 0) &&
    data.every((value, at) => at % columns !== 0 || value !== 0)
  );
}
