// What every pass of a step is given.
import type { DropoutRates } from '../../model/dropout.ts';
import type { AttentionFunction, ElasticModel } from '../../model/types.ts';
import type { Recorder } from '../../webgpu/recorder.ts';
import type { AdamW } from '../optimizer/adamw.ts';
import type { Teacher } from '../teacher/teacher.ts';
import type { TeacherCache } from '../teacher/teacher-cache.ts';

/** What a step needs beside the batches. */
export interface StepContext {
  readonly model: ElasticModel;
  readonly teacher?: Teacher | TeacherCache;
  readonly optimizer: AdamW;
  readonly temperature: number;
  /** Factor on the difference of hidden states to the teacher's. @defaultValue 0 */
  readonly hiddenStates?: number;
  /** Of sentence encoders: factor on the KL of similarities. @defaultValue 1 */
  readonly similarities?: number;
  /** Limit of the global gradient norm; Infinity = off. */
  readonly clipNorm: number;
  readonly attention?: AttentionFunction;
  readonly dropout: number | DropoutRates;
  /** Whether products are of mixed precision. @defaultValue false */
  readonly mixed?: boolean;
  /** What plays passes that come again. @defaultValue each is encoded anew */
  readonly recorder?: Recorder | undefined;
}

/**
 * What a loss is multiplied by before its gradients are taken, a power of two: 16 for each row that the mean is over, so that the
 * gradients of logits lie between float16's smallest number and 16, a thousand times below its largest.
 */
export function lossScale({ mixed }: StepContext, rows: number): number {
  return mixed ? 2 ** Math.round(Math.log2(16 * rows)) : 1;
}
