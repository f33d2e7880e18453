// Learning-rate schedules: linear warm-up, then constant, linear or cosine decay.
import { SupernetError } from '../../errors.ts';

/** Shape of the learning rate over the steps. */
export interface ScheduleOptions {
  /** @defaultValue 'cosine' */
  readonly kind?: 'constant' | 'linear' | 'cosine' | undefined;
  /** Warm-up: steps when ≥ 1, a share of all steps when < 1. @defaultValue 0.1 */
  readonly warmup?: number | undefined;
  /** Learning rate at the end, as a share of the peak (linear, cosine). @defaultValue 0 */
  readonly final?: number | undefined;
}

/** A factor in [0, 1] on the peak learning rate for step 0 … steps − 1. */
export type Schedule = (step: number) => number;

/**
 * Warm-up rises linearly and reaches 1 at its last step (step 0 is never 0, so no step is wasted); the decay reaches `final` one step
 * after the last.
 *
 * @throws SupernetError `invalid-option`
 */
export function createSchedule(steps: number, options: ScheduleOptions = {}): Schedule {
  const { kind = 'cosine', warmup = 0.1, final = 0 } = options;
  if (!(warmup >= 0) || !(final >= 0 && final <= 1)) {
    throw new SupernetError('invalid-option', `schedule warmup = ${warmup}, final = ${final}: expected ≥ 0 and 0…1`, {
      warmup,
      final,
    });
  }
  if (!['constant', 'linear', 'cosine'].includes(kind)) {
    throw new SupernetError('invalid-option', `schedule kind = ${kind}: expected constant, linear or cosine`, { kind });
  }
  const rising = Math.min(steps, warmup < 1 ? Math.round(warmup * steps) : Math.round(warmup));
  return (step) => {
    if (step < rising) return (step + 1) / rising;
    const done = Math.min(1, (step - rising) / Math.max(1, steps - rising));
    switch (kind) {
      case 'constant':
        return 1;
      case 'linear':
        return 1 - (1 - final) * done;
      case 'cosine':
        return final + (1 - final) * 0.5 * (1 + Math.cos(Math.PI * done));
    }
  };
}
