// How a sub-network is written as genes, indices into the choices of its space.
import { SupernetError } from '../errors.ts';
import { hasAdapters } from './adapted.ts';
import { defaultKvHeads, fullKvHeads } from './kv-heads.ts';
import type { ElasticSpace, SubnetConfig } from './types.ts';
import { canonicalSubnet } from './subnets.ts';
import { validateSubnet } from './validate.ts';

/**
 * Number of choices of each gene: `[layers, heads × totalLayers, ffn × totalLayers]`, then, where the space has them, `hidden`,
 * `groupHeads × totalLayers`, for each block that may be left out `[left out, kept]`: attention, then FFN, and `ranks × totalLayers`.
 */
export function geneCardinalities(space: ElasticSpace): number[] {
  const perLayer = (count: number) => Array.from({ length: space.totalLayers }, () => count);
  return [
    space.layers.length,
    ...perLayer(space.heads.length),
    ...perLayer(space.ffn.length),
    ...(space.hidden ? [space.hidden.length] : []),
    ...(space.groupHeads ? perLayer(space.groupHeads.length) : []),
    ...(space.skip?.attention ?? []).map(() => 2),
    ...(space.skip?.ffn ?? []).map(() => 2),
    ...(space.ranks ? perLayer(space.ranks.length) : []),
  ];
}

/** Where the genes of each axis begin; −1 where there is none. */
function geneOffsets(space: ElasticSpace) {
  const heads = 1;
  const ffn = heads + space.totalLayers;
  const hidden = ffn + space.totalLayers;
  const groupHeads = hidden + (space.hidden ? 1 : 0);
  const skipAttention = groupHeads + (space.groupHeads ? space.totalLayers : 0);
  const skipFfn = skipAttention + (space.skip?.attention.length ?? 0);
  const ranks = skipFfn + (space.skip?.ffn.length ?? 0);
  const end = ranks + (space.ranks ? space.totalLayers : 0);
  return { heads, ffn, hidden, groupHeads, skipAttention, skipFfn, ranks, end };
}

/**
 * Which genes have an effect: those of layers < the chosen depth and of blocks that are not left out (and the depth gene itself).
 *
 * @throws SupernetError `invalid-subnet`
 */
export function usedGenes(space: ElasticSpace, genes: readonly number[]): boolean[] {
  const { layers, skipAttention, skipFfn } = genesToSubnet(space, genes);
  const isUsed = (l: number) => l < layers;
  const perLayer = (skip: readonly boolean[] | undefined) =>
    Array.from({ length: space.totalLayers }, (_, l) => isUsed(l) && !skip?.[l]);
  return [
    true,
    ...perLayer(skipAttention),
    ...perLayer(skipFfn),
    ...(space.hidden ? [true] : []),
    ...(space.groupHeads ? perLayer(skipAttention) : []),
    ...(space.skip?.attention ?? []).map(isUsed),
    ...(space.skip?.ffn ?? []).map(isUsed),
    ...(space.ranks
      ? perLayer(undefined).map((isThere, l) => isThere && hasAdapters(space, skipAttention?.[l], skipFfn?.[l]))
      : []),
  ];
}

/**
 * Genes (indices into the choices; layout of {@link geneCardinalities}) → canonical sub-network.
 *
 * @throws SupernetError `invalid-subnet` for another number of genes, or one that is no index
 */
export function genesToSubnet(space: ElasticSpace, genes: readonly number[]): SubnetConfig {
  const at = geneOffsets(space);
  if (genes.length !== at.end) {
    throw new SupernetError('invalid-subnet', `expected ${at.end} genes, got ${genes.length}`, { genes });
  }
  const pick = (choices: readonly number[], gene: number | undefined, name: string): number => {
    const value = choices[gene ?? -1];
    if (value === undefined) {
      throw new SupernetError('invalid-subnet', `gene ${name} = ${gene}: expected an index 0…${choices.length - 1}`, {
        name,
        gene,
      });
    }
    return value;
  };
  const layers = pick(space.layers, genes[0], 'layers');
  const layer = Array.from({ length: space.totalLayers }, (_, l) => l);
  const isOut = (blocks: readonly number[] = [], offset: number, name: string): boolean[] =>
    layer.map((l) => {
      const index = blocks.indexOf(l);
      return index >= 0 && l < layers && pick([1, 0], genes[offset + index], `${name}[${l}]`) === 1;
    });
  const skipAttention = isOut(space.skip?.attention, at.skipAttention, 'skipAttention');
  const skipFfn = isOut(space.skip?.ffn, at.skipFfn, 'skipFfn');
  const choose = (choices: readonly number[], offset: number, l: number, skip: readonly boolean[], name: string) =>
    pick(choices, l < layers && !skip[l] ? genes[offset + l] : 0, `${name}[${l}]`);
  const groupHeads = layer.map((l) =>
    space.groupHeads ? choose(space.groupHeads, at.groupHeads, l, skipAttention, 'groupHeads') : undefined,
  );
  const kvHeads = layer.map((l) => {
    const heads = choose(space.heads, at.heads, l, skipAttention, 'heads');
    return Math.min(heads / space.headGroup, fullKvHeads(space, l));
  });
  const heads = layer.map((l) => {
    const kv = fullKvHeads(space, l);
    const all = kv === 0 ? 0 : (space.maxHeads?.[l] ?? space.fullHeads) / kv;
    return kvHeads[l]! * Math.min(all, groupHeads[l] ?? all);
  });
  const ffn = layer.map((l) => {
    const units = choose(space.ffn, at.ffn, l, skipFfn, 'ffn');
    return Math.min(units, space.maxFfn?.[l] ?? units);
  });
  const chooseRank = (l: number): number => {
    const isUsed = l < layers && hasAdapters(space, skipAttention[l], skipFfn[l]);
    return pick(space.ranks as readonly number[], isUsed ? genes[at.ranks + l] : 0, `ranks[${l}]`);
  };
  return canonicalSubnet(space, {
    layers,
    heads,
    ffn,
    ...(space.hidden && { hidden: pick(space.hidden, genes[at.hidden], 'hidden') }),
    ...(space.groupHeads && { kvHeads }),
    skipAttention,
    skipFfn,
    ...(space.ranks && { ranks: layer.map((l) => chooseRank(l)) }),
  });
}

/** Sub-network → genes in canonical form (unused genes 0). @throws SupernetError when a value is not among the choices. */
export function subnetToGenes(space: ElasticSpace, subnet: SubnetConfig): number[] {
  validateSubnet(space, subnet);
  const index = (choices: readonly number[], value: number | undefined, name: string, limit?: number): number => {
    const found = choices.findIndex((choice) => Math.min(choice, limit ?? choice) === value);
    if (found < 0) {
      throw new SupernetError('invalid-subnet', `${name} = ${value} is not among the choices ${choices.join(', ')}`, {
        name,
        value,
        choices,
      });
    }
    return found;
  };
  const layer = Array.from({ length: space.totalLayers }, (_, l) => l);
  const skip = (name: 'skipAttention' | 'skipFfn', l: number) => l < subnet.layers && (subnet[name]?.[l] ?? false);
  const blocks = (name: 'skipAttention' | 'skipFfn', list: readonly number[] = []): number[] => {
    const alien = layer.find((l) => skip(name, l) && !list.includes(l));
    if (alien === undefined) return list.map((l) => (l < subnet.layers && !skip(name, l) ? 1 : 0));
    throw new SupernetError('invalid-subnet', `${name}[${alien}]: the space keeps that block always`, { name, alien });
  };
  const usesAttention = (l: number) => l < subnet.layers && !skip('skipAttention', l);
  const kvOf = (l: number) => subnet.kvHeads?.[l] ?? defaultKvHeads(space, subnet.heads[l] as number, l);
  const hidden = subnet.hidden ?? space.fullHidden;
  if (!space.hidden && hidden !== space.fullHidden) index([space.fullHidden ?? 0], hidden, 'hidden');
  const groupsOf = space.heads.map((heads) => heads / space.headGroup);
  const headGenes = layer.map((l) => {
    if (!usesAttention(l)) return 0;
    const isGrouped = space.groupHeads !== undefined || subnet.kvHeads !== undefined || space.maxKvHeads !== undefined;
    if (isGrouped) return index(groupsOf, kvOf(l), `kvHeads[${l}]`, fullKvHeads(space, l));
    return index(space.heads, subnet.heads[l], `heads[${l}]`, space.maxHeads?.[l]);
  });
  const groupGene = (l: number): number => {
    const full = fullKvHeads(space, l) === 0 ? 0 : (space.maxHeads?.[l] ?? space.fullHeads) / fullKvHeads(space, l);
    const choices = space.groupHeads ?? [full];
    return usesAttention(l) && full > 0
      ? index(choices, (subnet.heads[l] as number) / kvOf(l), `groupHeads[${l}]`, full)
      : 0;
  };
  const groupGenes = layer.map(groupGene);
  const rankGene = (l: number): number => {
    const isUsed = l < subnet.layers && hasAdapters(space, skip('skipAttention', l), skip('skipFfn', l));
    return isUsed ? index(space.ranks ?? [], subnet.ranks?.[l] ?? space.fullRank, `ranks[${l}]`) : 0;
  };
  const fixed = layer.find((l) => l < subnet.layers && (subnet.ranks?.[l] ?? space.fullRank) !== space.fullRank);
  if (!space.ranks && fixed !== undefined) index([space.fullRank ?? 0], subnet.ranks?.[fixed], `ranks[${fixed}]`);
  return [
    index(space.layers, subnet.layers, 'layers'),
    ...headGenes,
    ...layer.map((l) =>
      l < subnet.layers && !skip('skipFfn', l) ? index(space.ffn, subnet.ffn[l], `ffn[${l}]`, space.maxFfn?.[l]) : 0,
    ),
    ...(space.hidden ? [index(space.hidden, hidden, 'hidden')] : []),
    ...(space.groupHeads ? groupGenes : []),
    ...blocks('skipAttention', space.skip?.attention),
    ...blocks('skipFfn', space.skip?.ffn),
    ...(space.ranks ? layer.map(rankGene) : []),
  ];
}
