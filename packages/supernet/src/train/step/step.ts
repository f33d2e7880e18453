// One optimisation step: every pass of the plan over every micro-batch, gradients summed, clipped, applied.
import * as tf from '@tensorflow/tfjs';
import { labelCountOf } from '../../data/dataset.ts';
import type { HostBatch } from '../../data/dataset.ts';
import { SupernetError } from '../../errors.ts';
import { startRepeatedWork } from '../../webgpu/dispatch-cache.ts';
import { withHalfProducts } from '../../webgpu/half-products.ts';
import { accumulate, clipFactor, disposeGradients, globalNorm } from '../optimizer/gradients.ts';
import type { GradientSet } from '../optimizer/gradients.ts';
import { MicroBatch } from './micro-batch.ts';
import { lossScale } from './step-context.ts';
import type { StepContext } from './step-context.ts';
import type { PassPlan } from './strategy.ts';

/** Device scalars of a finished step; the caller disposes. */
export interface StepOutput {
  /** Objective value of each pass, in the plan's order, summed over micro-batches. */
  readonly losses: readonly tf.Scalar[];
  /** Global gradient norm before clipping. */
  readonly norm: tf.Scalar;
}

/**
 * Runs one step. Losses are means over all labelled rows of all micro-batches together, so that accumulation over micro-batches of
 * different sizes equals one large batch.
 */
export function trainStep(
  context: StepContext,
  batches: readonly HostBatch[],
  plan: readonly PassPlan[],
  learningRate: number,
  seed: number,
): StepOutput {
  const run = () => runStep(context, batches, plan, learningRate, seed);
  return context.mixed ? withHalfProducts(run) : run();
}

function runStep(
  context: StepContext,
  batches: readonly HostBatch[],
  plan: readonly PassPlan[],
  learningRate: number,
  seed: number,
): StepOutput {
  const normalizer = batches.reduce((sum, batch) => sum + labelCountOf(batch), 0);
  if (normalizer === 0) throw new SupernetError('invalid-data', 'no row of this step has a label');
  const total: GradientSet = new Map();
  const losses: (tf.Scalar | undefined)[] = plan.map(() => undefined);
  for (const [index, batch] of batches.entries()) {
    const micro = new MicroBatch(context, batch, normalizer, seed + index);
    let isDone = false;
    try {
      for (const [position, pass] of plan.entries()) {
        // A sub-network of other widths than the last step's leaves other buffers free: each pass starts in the same order.
        startRepeatedWork();
        const { value, gradients } = micro.run(pass);
        accumulate(total, gradients);
        const sum = losses[position];
        losses[position] = sum ? tf.add(sum, value) : value;
        if (sum) tf.dispose([sum, value]);
      }
      isDone = true;
    } finally {
      micro.dispose(isDone);
    }
  }
  startRepeatedWork();
  const scaled = globalNorm(total);
  const unit = 1 / lossScale(context, normalizer);
  const norm = unit === 1 ? scaled : tf.tidy(() => tf.mul<tf.Scalar>(scaled, unit));
  const clip = Number.isFinite(context.clipNorm) ? clipFactor(norm, context.clipNorm) : undefined;
  const scale = unit === 1 ? clip : tf.tidy(() => (clip ? tf.mul<tf.Scalar>(clip, unit) : tf.scalar(unit)));
  context.optimizer.apply(total, learningRate, scale);
  for (const scalar of new Set([scaled, clip, scale])) if (scalar !== norm) scalar?.dispose();
  disposeGradients(total);
  return { losses: losses as tf.Scalar[], norm };
}
