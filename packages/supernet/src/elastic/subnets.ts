// Sub-networks of a space: the ends of it, random ones, and the canonical form of each.
import { hasAdapters } from './adapted.ts';
import { geneCardinalities, genesToSubnet } from './genes.ts';
import { defaultKvHeads } from './kv-heads.ts';
import type { ElasticSpace, SubnetConfig } from './types.ts';
import { validateSubnet } from './validate.ts';

/** The largest sub-network: the pretrained model itself. */
export function fullSubnet(space: ElasticSpace): SubnetConfig {
  return {
    layers: space.totalLayers,
    heads: Array.from({ length: space.totalLayers }, (_, layer) => space.maxHeads?.[layer] ?? space.fullHeads),
    ffn: Array.from({ length: space.totalLayers }, (_, layer) => space.maxFfn?.[layer] ?? space.fullFfn),
  };
}

/** The smallest sub-network of the space. */
export function smallestSubnet(space: ElasticSpace): SubnetConfig {
  return genesToSubnet(
    space,
    geneCardinalities(space).map(() => 0),
  );
}

/**
 * The same sub-network in every layer, of `hidden` channels if given.
 *
 * @throws SupernetError `invalid-subnet` when the model is smaller
 */
export function uniformSubnet(
  space: ElasticSpace,
  layers: number,
  heads: number,
  ffn: number,
  hidden?: number,
): SubnetConfig {
  const fill = (value: number) => Array.from({ length: space.totalLayers }, () => value);
  return canonicalSubnet(space, { layers, heads: fill(heads), ffn: fill(ffn), hidden });
}

/** A uniformly random sub-network (each gene uniform over its choices), in canonical form. `random` returns [0, 1). */
export function sampleSubnet(space: ElasticSpace, random: () => number): SubnetConfig {
  return genesToSubnet(
    space,
    geneCardinalities(space).map((count) => Math.min(count - 1, Math.floor(random() * count))),
  );
}

/**
 * Canonical form: unused entries (layer ≥ `layers`, or of a block left out) take the smallest choice, and what says nothing (all
 * channels, all query heads of a group, no block left out, adapters of full rank) is absent, so that sub-networks which differ only there are equal.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function canonicalSubnet(space: ElasticSpace, subnet: SubnetConfig): SubnetConfig {
  validateSubnet(space, subnet);
  const { layers, hidden } = subnet;
  const layer = Array.from({ length: space.totalLayers }, (_, l) => l);
  const isSkipped = (skip: readonly boolean[] | undefined, l: number) => l < layers && (skip?.[l] ?? false);
  const skipAttention = layer.map((l) => isSkipped(subnet.skipAttention, l));
  const skipFfn = layer.map((l) => isSkipped(subnet.skipFfn, l));
  const [unusedHeads, unusedFfn] = [space.heads[0] as number, space.ffn[0] as number];
  const heads = layer.map((l) => (l < layers && !skipAttention[l] ? (subnet.heads[l] as number) : unusedHeads));
  const ffn = layer.map((l) => (l < layers && !skipFfn[l] ? (subnet.ffn[l] as number) : unusedFfn));
  const kvHeads = layer.map((l) => {
    const used = l < layers && !skipAttention[l];
    return used ? (subnet.kvHeads?.[l] ?? defaultKvHeads(space, heads[l] as number, l)) : unusedHeads / space.headGroup;
  });
  const isAdapted = (l: number) => l < layers && hasAdapters(space, skipAttention[l], skipFfn[l]);
  const ranks = layer.map((l) => (isAdapted(l) ? (subnet.ranks?.[l] ?? space.fullRank) : space.ranks?.[0]) ?? 0);
  const isWholeRank = layer.every((l) => !isAdapted(l) || ranks[l] === space.fullRank);
  const isPlain = layer.every(
    (l) => l >= layers || skipAttention[l] || kvHeads[l] === defaultKvHeads(space, heads[l]!, l),
  );
  return {
    layers,
    heads,
    ffn,
    ...(hidden !== undefined && hidden !== space.fullHidden && { hidden }),
    ...(!isPlain && { kvHeads }),
    ...(skipAttention.includes(true) && { skipAttention }),
    ...(skipFfn.includes(true) && { skipFfn }),
    ...(!isWholeRank && { ranks }),
  };
}

/**
 * Stable text key of a sub-network's canonical form, e.g. `2|4,2|768,512`; then the channels (`|d256`), key/value heads (`|k2,1`) and
 * layers without attention (`|a3`) and FFN (`|f2,3`), and the ranks of adapters (`|r8,0`), where it says so.
 */
export function subnetKey(subnet: SubnetConfig): string {
  const { layers, hidden, kvHeads, skipAttention, skipFfn, ranks } = subnet;
  const used = (values: readonly number[], skip?: readonly boolean[]) =>
    values
      .slice(0, layers)
      .map((value, l) => (skip?.[l] ? 0 : value))
      .join(',');
  const skipped = (skip: readonly boolean[] = []) =>
    skip.flatMap((isOut, l) => (isOut && l < layers ? [l] : [])).join(',');
  const more = [
    hidden === undefined ? '' : `|d${hidden}`,
    kvHeads ? `|k${used(kvHeads, skipAttention)}` : '',
    skipped(skipAttention) && `|a${skipped(skipAttention)}`,
    skipped(skipFfn) && `|f${skipped(skipFfn)}`,
    ranks ? `|r${used(ranks)}` : '',
  ];
  return `${layers}|${used(subnet.heads, skipAttention)}|${used(subnet.ffn, skipFfn)}${more.join('')}`;
}
