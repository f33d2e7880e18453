// What the reference runs and kernels may not yet: refused instead of ignored.
import { HipError } from '../errors.ts';
import type { HipConfig } from './config.ts';
import type { ScoredStage } from './stages.ts';

/** A stage that kernels run. */
export interface KernelStage extends ScoredStage {
  readonly score: 'binary' | 'bound' | 'exact';
}

/** A configuration without what only the reference runs. */
export interface ScoredConfig extends HipConfig {
  readonly stages?: readonly KernelStage[] | undefined;
}

/**
 * For kernels: refuses what they do not run. A kernel drops the call once it runs all of it.
 *
 * @param given a configuration, or a mask (which carries its remainder)
 * @throws HipError `unsupported` on a vote, means and deviations, half the channels, budgets by head, a remainder
 */
export function checkReferenceOnly(
  given: Partial<Pick<HipConfig, 'stages' | 'kPerHead' | 'remainder'>>,
): asserts given is Partial<Pick<ScoredConfig, 'stages' | 'kPerHead' | 'remainder'>> {
  const refuse = (name: string, what: string): never => {
    const message = `${what} run on the reference only: leave ${name} out, or use searchBlockMask and blockSparseAttention of @hip/mask-search`;
    throw new HipError('unsupported', message, { name });
  };
  if (given.stages?.some(({ score }) => score === 'deviation')) refuse('stages', 'stages of means and deviations');
  if (given.stages?.some(({ dims }) => dims === 'slow-half')) refuse('stages', 'scores of half the channels');
  if (given.stages?.some(({ score }) => score === 'mass')) refuse('stages', 'stages that vote (score "mass")');
  if (given.kPerHead) refuse('kPerHead', 'budgets by head');
  if (given.remainder) refuse('remainder', 'remainders');
}

/** The stages of a configuration that kernels run. @throws HipError `unsupported` as {@link checkReferenceOnly} */
export function kernelStages({ stages = [] }: Pick<HipConfig, 'stages'>): readonly KernelStage[] {
  const config: Partial<Pick<HipConfig, 'stages'>> = { stages };
  checkReferenceOnly(config);
  return config.stages ?? [];
}
