// What must be equal for a run to be gone on with: everything that decides its numbers beside data and weights.
import type { FineTuneOptions, ResolvedOptions } from './options.ts';

/** Everything that decides the numbers of a run of so many steps, except data and weights themselves. */
export function runFingerprint(options: FineTuneOptions, given: ResolvedOptions, steps: number): string {
  const { optimizer = {}, schedule = {}, batchSize = 8 } = options;
  const { decays: _, ...rest } = optimizer;
  // States of before there was a choice know of none of these.
  const { precision, hiddenStates, similarities, average, ...resolved } = given;
  const how = {
    ...resolved,
    ...(precision !== 'float32' && { precision }),
    ...(hiddenStates > 0 && { hiddenStates }),
    ...(similarities !== 1 && { similarities }),
    ...(average && { average }),
  };
  return JSON.stringify({ ...how, steps: steps, schedule, optimizer: rest, batchSize });
}
