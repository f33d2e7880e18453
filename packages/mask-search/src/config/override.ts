// One layer's deviations worked into a configuration.
import type { HipConfig, LayerOverride } from './config.ts';
import { roundUp, withBudget, withCandidates } from './stages.ts';

/** A configuration with one layer's deviations, not yet checked; `dense` is not looked at. */
export function applyOverride(config: HipConfig, override: LayerOverride): HipConfig {
  const { candidates, remainder } = override;
  // A budget of the layer's own takes the place of the budgets by head that all layers have.
  const kPerHead = override.kPerHead ?? (override.k === undefined ? config.kPerHead : undefined);
  const mean = override.kPerHead && meanBudget(override.kPerHead, config.blockK);
  const k = override.k ?? mean ?? config.k;
  const most = Math.max(k, ...(kPerHead ?? []));
  let { stages } = config;
  if (stages && candidates !== undefined) stages = withCandidates(stages, candidates);
  // Room for the largest head before the last stage, then the layer's own budget in it.
  else if (stages && most > config.k) stages = withBudget(stages, roundUp(most, config.blockK));
  const last = stages?.at(-1);
  if (stages && last) stages = [...stages.slice(0, -1), { ...last, keep: k }];
  return {
    ...config,
    k,
    stages,
    kPerHead,
    remainder: remainder === false ? undefined : (remainder ?? config.remainder),
  };
}

function meanBudget(kPerHead: readonly number[], blockK: number): number {
  const mean = kPerHead.reduce((sum, k) => sum + k, 0) / Math.max(1, kPerHead.length);
  return Math.max(blockK, roundUp(mean, blockK));
}
