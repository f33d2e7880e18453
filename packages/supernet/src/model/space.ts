// The elastic space of a model.
import { headGroup, type ModelConfig } from '@hip/checkpoints';
import { subnetBounds } from '../elastic/cost.ts';
import { createSpace } from '../elastic/space.ts';
import type { ElasticSpace, SpaceChoices } from '../elastic/types.ts';

/** Elastic space of a configuration, with per-layer bounds where layers are unequal. */
export function modelSpace(config: ModelConfig, choices: SpaceChoices): ElasticSpace {
  const { layers, heads, ffn, hiddenSize: hidden } = config;
  const space = createSpace({ layers, heads, ffn, hidden, headGroup: headGroup(config) }, choices);
  return { ...space, ...subnetBounds(config) };
}
