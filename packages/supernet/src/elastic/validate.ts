// Whether a sub-network fits into the full model.
import { SupernetError } from '../errors.ts';
import { fullKvHeads } from './kv-heads.ts';
import type { SubnetBounds, SubnetConfig } from './types.ts';

/**
 * Checks that a sub-network fits inside the full model; its values need not be among the choices.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function validateSubnet(space: SubnetBounds, subnet: SubnetConfig): void {
  const { totalLayers } = space;
  requireInteger('layers', subnet.layers, totalLayers);
  const { heads: allHeads, ffn: allFfn, kvHeads: allKv, skipAttention, skipFfn, ranks } = subnet;
  for (const [name, values] of Object.entries({
    heads: allHeads,
    ffn: allFfn,
    kvHeads: allKv,
    skipAttention,
    skipFfn,
    ranks,
  })) {
    if (values === undefined || values.length === totalLayers) continue;
    throw new SupernetError(
      'invalid-subnet',
      `${name} has ${values.length} entries: the full model has ${totalLayers} layers`,
      { name, length: values.length, totalLayers },
    );
  }
  if (subnet.hidden !== undefined) requireInteger('hidden', subnet.hidden, space.fullHidden ?? subnet.hidden);
  if (ranks && space.fullRank === undefined) {
    const message = `ranks = ${ranks.join(', ')}: the model has no adapters, leave ranks out or make some by addAdapters`;
    throw new SupernetError('invalid-subnet', message, { name: 'ranks', ranks });
  }
  for (let layer = 0; layer < subnet.layers; layer++) {
    if (ranks) requireInteger('ranks', ranks[layer] as number, space.fullRank as number, { layer, least: 0 });
    if (!skipAttention?.[layer]) requireHeads(space, subnet, layer);
    if (!skipFfn?.[layer]) requireWidth('ffn', allFfn[layer] as number, space.maxFfn?.[layer] ?? space.fullFfn, layer);
  }
}

function requireHeads(space: SubnetBounds, subnet: SubnetConfig, layer: number): void {
  const heads = subnet.heads[layer] as number;
  const full = space.maxHeads?.[layer] ?? space.fullHeads;
  requireWidth('heads', heads, full, layer);
  if (full === 0) return;
  const fullKv = fullKvHeads(space, layer);
  const group = full / fullKv;
  const kvHeads = subnet.kvHeads?.[layer];
  if (kvHeads === undefined) {
    if (heads % group === 0) return;
    throw new SupernetError(
      'invalid-subnet',
      `heads[${layer}] = ${heads} is no multiple of the grouped-query group ${group}`,
      { layer, heads, headGroup: group },
    );
  }
  requireWidth('kvHeads', kvHeads, fullKv, layer);
  if (heads % kvHeads === 0 && heads / kvHeads <= group) return;
  throw new SupernetError(
    'invalid-subnet',
    `heads[${layer}] = ${heads} of kvHeads[${layer}] = ${kvHeads}: each key/value head keeps a whole number of query heads, at most ${group}`,
    { layer, heads, kvHeads, headGroup: group },
  );
}

/** A width of a layer; 0 only where the full model has none. */
function requireWidth(name: string, value: number, max: number, layer: number): void {
  if (max > 0 || value !== 0) requireInteger(name, value, max, { layer });
}

export function requireInteger(
  option: string,
  value: number,
  max: number,
  { layer, least = 1 }: { readonly layer?: number; readonly least?: number } = {},
): void {
  if (!Number.isInteger(value) || value < least || value > max) {
    const name = layer === undefined ? option : `${option}[${layer}]`;
    const message = `${name} = ${value}: expected an integer ${least}…${max}`;
    throw new SupernetError('invalid-subnet', message, { name, value, max });
  }
}
