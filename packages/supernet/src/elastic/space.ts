// The elastic search space: which choices there are.
import { SupernetError } from '../errors.ts';
import { requireInteger } from './validate.ts';
import type { AdaptedBlock, ElasticSpace, SpaceChoices, SpaceShape } from './types.ts';

/**
 * Builds a space. Without choices: layers from half to all; heads from half to all in about four steps (multiples of the GQA group);
 * FFN one, two and three thirds. For BERT-base that is the paper's space (6…12 · {6,8,10,12} · {1024,2048,3072}). Hidden size, query
 * heads of a group, single blocks and the ranks of adapters are elastic where choices say so.
 *
 * @throws SupernetError `invalid-subnet` when a choice is out of range or no multiple of the head group.
 *
 * @example
 * ```ts
 * const { heads } = createSpace({ layers: 12, heads: 12, ffn: 3072 }, { layers: [8, 10, 12] });
 * console.log(heads); // => [ 6, 8, 10, 12 ]
 * const wide = createSpace({ layers: 12, heads: 12, ffn: 3072, hidden: 768 }, { hidden: [384, 576, 768], skip: { attention: [9, 10] } });
 * console.log(geneCardinalities(wide).length); // => 28
 * ```
 */
export function createSpace(shape: SpaceShape, choices: SpaceChoices = {}): ElasticSpace {
  const group = shape.headGroup ?? 1;
  const layers = ascending(choices.layers ?? range(Math.ceil(shape.layers / 2), shape.layers), 'layers', shape.layers);
  const heads = ascending(choices.heads ?? defaultHeads(shape.heads, group), 'heads', shape.heads);
  const ffn = ascending(choices.ffn ?? defaultFfn(shape.ffn), 'ffn', shape.ffn);
  for (const count of heads) {
    if (count % group !== 0) {
      throw new SupernetError(
        'invalid-subnet',
        `heads choice ${count} is no multiple of the grouped-query group ${group}: use ${Math.ceil(count / group) * group}`,
        { heads: count, headGroup: group },
      );
    }
  }
  const hidden = choices.hidden && ascending(choices.hidden, 'hidden', shape.hidden ?? 0);
  const groupHeads = choices.groupHeads && ascending(choices.groupHeads, 'groupHeads', group);
  const ranks = choices.ranks && ascending(choices.ranks, 'ranks', shape.adapters?.rank ?? 0, 0);
  const blocks = (name: 'attention' | 'ffn'): readonly number[] => skippable(name, choices.skip?.[name], shape.layers);
  return {
    layers,
    heads,
    ffn,
    totalLayers: shape.layers,
    fullHeads: shape.heads,
    fullFfn: shape.ffn,
    headGroup: group,
    ...(shape.hidden !== undefined && { fullHidden: shape.hidden }),
    ...(hidden && { hidden }),
    ...(groupHeads && { groupHeads }),
    ...(choices.skip && { skip: { attention: blocks('attention'), ffn: blocks('ffn') } }),
    ...(shape.adapters && { fullRank: shape.adapters.rank, adaptedBlocks: shape.adapters.blocks }),
    ...(ranks && { ranks }),
  };
}

function skippable(name: string, layers: readonly number[] | undefined, total: number): readonly number[] {
  const sorted = [...new Set(layers ?? [])].sort((a, b) => a - b);
  for (const layer of sorted) {
    if (Number.isInteger(layer) && layer >= 0 && layer < total) continue;
    throw new SupernetError('invalid-subnet', `skip.${name} lists layer ${layer}: expected 0…${total - 1}`, {
      name: `skip.${name}`,
      value: layer,
    });
  }
  return sorted;
}

/** Number of distinct sub-networks of the space (canonical form), as a double. */
export function spaceSize(space: ElasticSpace): number {
  const attention = space.heads.length * (space.groupHeads?.length ?? 1);
  const ranks = space.ranks?.length ?? 1;
  const isAdapted = (block: AdaptedBlock) => space.adaptedBlocks?.includes(block) ?? false;
  const ofLayer = (l: number) => {
    // A rank says nothing in a layer whose adapted blocks are left out.
    const [withAttention, withFfn] = [isAdapted('attention') ? ranks : 1, isAdapted('ffn') ? ranks : 1];
    const [noAttention, noFfn] = [space.skip?.attention.includes(l) ? 1 : 0, space.skip?.ffn.includes(l) ? 1 : 0];
    const kept = attention * space.ffn.length * Math.max(withAttention, withFfn);
    return kept + attention * noFfn * withAttention + noAttention * space.ffn.length * withFfn + noAttention * noFfn;
  };
  const ofDepth = (layers: number) =>
    Array.from({ length: layers }, (_, l) => ofLayer(l)).reduce((product, count) => product * count, 1);
  return (space.hidden?.length ?? 1) * space.layers.reduce((sum, layers) => sum + ofDepth(layers), 0);
}

function ascending(values: readonly number[], name: string, max: number, least = 1): number[] {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  if (sorted.length === 0) throw new SupernetError('invalid-subnet', `${name} has no choices`, { name });
  for (const value of sorted) requireInteger(`${name} choice`, value, max, { least });
  return sorted;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function defaultHeads(heads: number, group: number): number[] {
  const step = group * Math.max(1, Math.round(heads / 6 / group));
  const choices: number[] = [];
  for (let count = heads; count >= heads / 2 && count >= group; count -= step) choices.push(count);
  return choices;
}

function defaultFfn(ffn: number): number[] {
  const third = (share: number) => (share === 3 ? ffn : Math.max(1, Math.round((ffn * share) / 3 / 8) * 8));
  return [third(1), third(2), third(3)].map((units) => Math.min(units, ffn));
}
