// The elastic search space: which sub-networks exist, how a sub-network is written as genes, and its canonical form.
import { SupernetError } from '../errors.ts';

/**
 * One sub-network. Lists have one entry per layer of the *full* model; entries at or beyond `layers` are unused.
 * The kept part is always the prefix: first `layers` layers, first `heads[l]` query heads, first `ffn[l]` FFN units, first `hidden`
 * channels.
 */
export interface SubnetConfig {
  readonly layers: number;
  readonly heads: readonly number[];
  readonly ffn: readonly number[];
  /** Channels of the residual stream, one width for the whole network. @defaultValue all */
  readonly hidden?: number | undefined;
  /**
   * Key/value heads of each layer: the first so many, each with its first `heads[l] / kvHeads[l]` query heads.
   *
   * @defaultValue as many as their query heads, all kept, make `heads[l]`
   */
  readonly kvHeads?: readonly number[] | undefined;
  /** Layers whose attention is left out, its norms too: the residual goes past it. @defaultValue none */
  readonly skipAttention?: readonly boolean[] | undefined;
  /** The same of the FFN. @defaultValue none */
  readonly skipFfn?: readonly boolean[] | undefined;
}

/** The choices of each elastic dimension (ascending) and the shape of the full model. */
export interface ElasticSpace {
  /** Choices of the number of layers, ascending. */
  readonly layers: readonly number[];
  /** Choices of query heads per layer, ascending; multiples of `headGroup`. */
  readonly heads: readonly number[];
  /** Choices of FFN units per layer, ascending. */
  readonly ffn: readonly number[];
  /** Layers of the full model: the length of `heads` and `ffn` of a {@link SubnetConfig}. */
  readonly totalLayers: number;
  /** Query heads of the full model. */
  readonly fullHeads: number;
  /** FFN units of the full model. */
  readonly fullFfn: number;
  /** Query heads per key/value head (1 without grouped-query attention). */
  readonly headGroup: number;
  /** Per-layer widths of a model that was extracted with unequal layers: entries are upper bounds of the choices. */
  readonly maxHeads?: readonly number[];
  /** Like `maxHeads`, of FFN units. */
  readonly maxFfn?: readonly number[];
  /** Like `maxHeads`, of key/value heads, where the layers' query heads per key/value head differ. */
  readonly maxKvHeads?: readonly number[];
  /** Choices of channels of the residual stream, ascending; without them it is not elastic. */
  readonly hidden?: readonly number[];
  /** Channels of the full model. */
  readonly fullHidden?: number;
  /**
   * Choices of query heads kept of each key/value head, ascending; without them all are kept. `heads` then choose how many key/value
   * heads there are: those of `heads / headGroup`.
   */
  readonly groupHeads?: readonly number[];
  /** Layers whose attention, or FFN, may be left out: a gene each. */
  readonly skip?: SkippableBlocks;
}

/** Layers (from 0, ascending) whose blocks may be left out. */
export interface SkippableBlocks {
  readonly attention: readonly number[];
  readonly ffn: readonly number[];
}

/** What {@link createSpace} needs to know of a model. */
export interface SpaceShape {
  readonly layers: number;
  readonly heads: number;
  readonly ffn: number;
  /** @defaultValue 1 */
  readonly headGroup?: number;
  /** Channels of the residual stream; needed where they are elastic. */
  readonly hidden?: number;
}

/** Choices to override; each list must contain only values ≤ the full value. */
export interface SpaceChoices {
  readonly layers?: readonly number[] | undefined;
  readonly heads?: readonly number[] | undefined;
  readonly ffn?: readonly number[] | undefined;
  /** @defaultValue not elastic */
  readonly hidden?: readonly number[] | undefined;
  /** @defaultValue not elastic */
  readonly groupHeads?: readonly number[] | undefined;
  /** @defaultValue none */
  readonly skip?: Partial<SkippableBlocks> | undefined;
}

/**
 * Builds a space. Without choices: layers from half to all; heads from half to all in about four steps (multiples of the GQA group);
 * FFN one, two and three thirds. For BERT-base that is the paper's space (6…12 · {6,8,10,12} · {1024,2048,3072}). Hidden size, query
 * heads of a group and single blocks are elastic where choices say so.
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
 * channels, all query heads of a group, no block left out) is absent, so that sub-networks which differ only there are equal.
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
  };
}

/** Key/value heads of a layer of the full model. */
function fullKvHeads(space: SubnetBounds, layer: number): number {
  return space.maxKvHeads?.[layer] ?? (space.maxHeads?.[layer] ?? space.fullHeads) / space.headGroup;
}

/** Key/value heads that so many query heads have with all of each group kept. */
function defaultKvHeads(space: SubnetBounds, heads: number, layer: number): number {
  const full = space.maxHeads?.[layer] ?? space.fullHeads;
  return full === 0 ? 0 : (heads * fullKvHeads(space, layer)) / full;
}

/**
 * Stable text key of a sub-network's canonical form, e.g. `2|4,2|768,512`; then the channels (`|d256`), key/value heads (`|k2,1`) and
 * layers without attention (`|a3`) and FFN (`|f2,3`), where it says so.
 */
export function subnetKey(subnet: SubnetConfig): string {
  const { layers, hidden, kvHeads, skipAttention, skipFfn } = subnet;
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
  ];
  return `${layers}|${used(subnet.heads, skipAttention)}|${used(subnet.ffn, skipFfn)}${more.join('')}`;
}

/**
 * Number of choices of each gene: `[layers, heads × totalLayers, ffn × totalLayers]`, then, where the space has them, `hidden`,
 * `groupHeads × totalLayers`, and for each block that may be left out `[left out, kept]`: attention, then FFN.
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
  return { heads, ffn, hidden, groupHeads, skipAttention, skipFfn, end: skipFfn + (space.skip?.ffn.length ?? 0) };
}

/**
 * Which genes have an effect: those of layers < the chosen depth and of blocks that are not left out (and the depth gene itself).
 *
 * @throws SupernetError `invalid-subnet`
 */
export function usedGenes(space: ElasticSpace, genes: readonly number[]): boolean[] {
  const subnet = genesToSubnet(space, genes);
  const isUsed = (l: number) => l < subnet.layers;
  const perLayer = (skip: readonly boolean[] | undefined) =>
    Array.from({ length: space.totalLayers }, (_, l) => isUsed(l) && !skip?.[l]);
  return [
    true,
    ...perLayer(subnet.skipAttention),
    ...perLayer(subnet.skipFfn),
    ...(space.hidden ? [true] : []),
    ...(space.groupHeads ? perLayer(subnet.skipAttention) : []),
    ...(space.skip?.attention ?? []).map(isUsed),
    ...(space.skip?.ffn ?? []).map(isUsed),
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
  return canonicalSubnet(space, {
    layers,
    heads,
    ffn,
    ...(space.hidden && { hidden: pick(space.hidden, genes[at.hidden], 'hidden') }),
    ...(space.groupHeads && { kvHeads }),
    skipAttention,
    skipFfn,
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
  ];
}

/** Number of distinct sub-networks of the space (canonical form), as a double. */
export function spaceSize(space: ElasticSpace): number {
  const attention = space.heads.length * (space.groupHeads?.length ?? 1);
  const ofLayer = (l: number) =>
    (attention + (space.skip?.attention.includes(l) ? 1 : 0)) *
    (space.ffn.length + (space.skip?.ffn.includes(l) ? 1 : 0));
  const ofDepth = (layers: number) =>
    Array.from({ length: layers }, (_, l) => ofLayer(l)).reduce((product, count) => product * count, 1);
  return (space.hidden?.length ?? 1) * space.layers.reduce((sum, layers) => sum + ofDepth(layers), 0);
}

/** What a sub-network must fit into: a space without its choices. */
export type SubnetBounds = Omit<ElasticSpace, 'layers' | 'heads' | 'ffn' | 'hidden' | 'groupHeads' | 'skip'>;

/**
 * Checks that a sub-network fits inside the full model; its values need not be among the choices.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function validateSubnet(space: SubnetBounds, subnet: SubnetConfig): void {
  const { totalLayers } = space;
  requireInteger('layers', subnet.layers, totalLayers);
  const { heads: allHeads, ffn: allFfn, kvHeads: allKv, skipAttention, skipFfn } = subnet;
  for (const [name, values] of Object.entries({
    heads: allHeads,
    ffn: allFfn,
    kvHeads: allKv,
    skipAttention,
    skipFfn,
  })) {
    if (values === undefined || values.length === totalLayers) continue;
    throw new SupernetError(
      'invalid-subnet',
      `${name} has ${values.length} entries: the full model has ${totalLayers} layers`,
      { name, length: values.length, totalLayers },
    );
  }
  if (subnet.hidden !== undefined) requireInteger('hidden', subnet.hidden, space.fullHidden ?? subnet.hidden);
  for (let layer = 0; layer < subnet.layers; layer++) {
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
  if (max > 0 || value !== 0) requireInteger(name, value, max, layer);
}

function requireInteger(option: string, value: number, max: number, layer?: number): void {
  if (!Number.isInteger(value) || value < 1 || value > max) {
    const name = layer === undefined ? option : `${option}[${layer}]`;
    throw new SupernetError('invalid-subnet', `${name} = ${value}: expected an integer 1…${max}`, { name, value, max });
  }
}

function ascending(values: readonly number[], name: string, max: number): number[] {
  const sorted = [...new Set(values)].sort((a, b) => a - b);
  if (sorted.length === 0) throw new SupernetError('invalid-subnet', `${name} has no choices`, { name });
  for (const value of sorted) requireInteger(`${name} choice`, value, max);
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
