// The elastic space of a model.
import { headGroup, type ModelConfig } from '@hip/checkpoints';
import { subnetBounds } from '../elastic/cost.ts';
import { createSpace } from '../elastic/space.ts';
import type { AdaptedBlock, ElasticSpace, SpaceChoices, SpaceShape } from '../elastic/types.ts';
import type { AdapterLayout } from '../adapters/types.ts';

/** Elastic space of a configuration, with per-layer bounds where layers are unequal. */
export function modelSpace(config: ModelConfig, choices: SpaceChoices, adapters?: AdapterLayout): ElasticSpace {
  const { layers, heads, ffn, hiddenSize: hidden } = config;
  const shape = { layers, heads, ffn, hidden, headGroup: headGroup(config) };
  const space = createSpace({ ...shape, ...(adapters && { adapters: extentOf(adapters) }) }, choices);
  const { fullRank: _ofAnyAdapters, ...bounds } = subnetBounds(config);
  return { ...space, ...bounds };
}

function extentOf({ products }: AdapterLayout): NonNullable<SpaceShape['adapters']> {
  const blocks = (['attention', 'ffn'] as const).filter((block: AdaptedBlock) =>
    products.some(({ name }) => name.includes(`.${block}.`)),
  );
  return { rank: Math.max(0, ...products.map(({ rank }) => rank)), blocks };
}
