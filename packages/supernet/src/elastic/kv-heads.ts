// Key/value heads of a layer of the full model, and those that go with so many query heads.
import type { SubnetBounds } from './types.ts';

/** Key/value heads of a layer of the full model. */
export function fullKvHeads(space: SubnetBounds, layer: number): number {
  return space.maxKvHeads?.[layer] ?? (space.maxHeads?.[layer] ?? space.fullHeads) / space.headGroup;
}

/** Key/value heads that so many query heads have with all of each group kept. */
export function defaultKvHeads(space: SubnetBounds, heads: number, layer: number): number {
  const full = space.maxHeads?.[layer] ?? space.fullHeads;
  return full === 0 ? 0 : (heads * fullKvHeads(space, layer)) / full;
}
