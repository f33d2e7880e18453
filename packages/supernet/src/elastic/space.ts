// The elastic search space: which sub-networks exist, how a sub-network is written as genes, and its canonical form.
import { SupernetError } from '../errors.ts';

/**
 * One sub-network. `heads` and `ffn` have one entry per layer of the *full* model; entries at or beyond `layers` are unused.
 * The kept part is always the prefix: first `layers` layers, first `heads[l]` query heads, first `ffn[l]` FFN units.
 */
export interface SubnetConfig {
  readonly layers: number;
  readonly heads: readonly number[];
  readonly ffn: readonly number[];
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
}

/** What {@link createSpace} needs to know of a model. */
export interface SpaceShape {
  readonly layers: number;
  readonly heads: number;
  readonly ffn: number;
  /** @defaultValue 1 */
  readonly headGroup?: number;
}

/** Choices to override; each list must contain only values ≤ the full value. */
export interface SpaceChoices {
  readonly layers?: readonly number[] | undefined;
  readonly heads?: readonly number[] | undefined;
  readonly ffn?: readonly number[] | undefined;
}

/**
 * Builds a space. Without choices: layers from half to all; heads from half to all in about four steps (multiples of the GQA group);
 * FFN one, two and three thirds. For BERT-base that is the paper's space (6…12 · {6,8,10,12} · {1024,2048,3072}).
 *
 * @throws SupernetError `invalid-subnet` when a choice is out of range or no multiple of the head group.
 *
 * @example
 * ```ts
 * const { heads } = createSpace({ layers: 12, heads: 12, ffn: 3072 }, { layers: [8, 10, 12] });
 * console.log(heads); // => [ 6, 8, 10, 12 ]
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
  return {
    layers,
    heads,
    ffn,
    totalLayers: shape.layers,
    fullHeads: shape.heads,
    fullFfn: shape.ffn,
    headGroup: group,
  };
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

/** The same sub-network in every layer. @throws SupernetError `invalid-subnet` when the model is smaller */
export function uniformSubnet(space: ElasticSpace, layers: number, heads: number, ffn: number): SubnetConfig {
  const fill = (value: number) => Array.from({ length: space.totalLayers }, () => value);
  return canonicalSubnet(space, { layers, heads: fill(heads), ffn: fill(ffn) });
}

/** A uniformly random sub-network (each gene uniform over its choices), in canonical form. `random` returns [0, 1). */
export function sampleSubnet(space: ElasticSpace, random: () => number): SubnetConfig {
  return genesToSubnet(
    space,
    geneCardinalities(space).map((count) => Math.min(count - 1, Math.floor(random() * count))),
  );
}

/**
 * Canonical form: unused entries (layer ≥ `layers`) take the smallest choice, so that sub-networks which differ only there are equal.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function canonicalSubnet(space: ElasticSpace, subnet: SubnetConfig): SubnetConfig {
  validateSubnet(space, subnet);
  const used = (values: readonly number[], unused: number) =>
    values.map((value, layer) => (layer < subnet.layers ? value : unused));
  return {
    layers: subnet.layers,
    heads: used(subnet.heads, space.heads[0] as number),
    ffn: used(subnet.ffn, space.ffn[0] as number),
  };
}

/** Stable text key of a sub-network's canonical form, e.g. `2|4,2|768,512`. */
export function subnetKey(subnet: SubnetConfig): string {
  const used = (values: readonly number[]) => values.slice(0, subnet.layers).join(',');
  return `${subnet.layers}|${used(subnet.heads)}|${used(subnet.ffn)}`;
}

/** Number of choices of each gene: `[layers, heads × totalLayers, ffn × totalLayers]`. */
export function geneCardinalities(space: ElasticSpace): number[] {
  return [
    space.layers.length,
    ...Array.from({ length: space.totalLayers }, () => space.heads.length),
    ...Array.from({ length: space.totalLayers }, () => space.ffn.length),
  ];
}

/**
 * Which genes have an effect: those of layers < the chosen depth (and the depth gene itself).
 *
 * @throws SupernetError `invalid-subnet`
 */
export function usedGenes(space: ElasticSpace, genes: readonly number[]): boolean[] {
  const depth = genesToSubnet(space, genes).layers;
  const perLayer = Array.from({ length: space.totalLayers }, (_, layer) => layer < depth);
  return [true, ...perLayer, ...perLayer];
}

/**
 * Genes (indices into the choices; layout of {@link geneCardinalities}) → canonical sub-network.
 *
 * @throws SupernetError `invalid-subnet` for another number of genes, or one that is no index
 */
export function genesToSubnet(space: ElasticSpace, genes: readonly number[]): SubnetConfig {
  const total = space.totalLayers;
  if (genes.length !== 1 + 2 * total) {
    throw new SupernetError('invalid-subnet', `expected ${1 + 2 * total} genes, got ${genes.length}`, { genes });
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
  const clamp = (value: number, limit: number | undefined) => Math.min(value, limit ?? value);
  const layers = pick(space.layers, genes[0], 'layers');
  const at = (choices: readonly number[], offset: number, layer: number, name: string) =>
    pick(choices, layer < layers ? genes[offset + layer] : 0, `${name}[${layer}]`);
  return {
    layers,
    heads: Array.from({ length: total }, (_, l) => clamp(at(space.heads, 1, l, 'heads'), space.maxHeads?.[l])),
    ffn: Array.from({ length: total }, (_, l) => clamp(at(space.ffn, 1 + total, l, 'ffn'), space.maxFfn?.[l])),
  };
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
  const used = (l: number) => l < subnet.layers;
  return [
    index(space.layers, subnet.layers, 'layers'),
    ...layer.map((l) => (used(l) ? index(space.heads, subnet.heads[l], `heads[${l}]`, space.maxHeads?.[l]) : 0)),
    ...layer.map((l) => (used(l) ? index(space.ffn, subnet.ffn[l], `ffn[${l}]`, space.maxFfn?.[l]) : 0)),
  ];
}

/** Number of distinct sub-networks of the space (canonical form), as a double. */
export function spaceSize(space: ElasticSpace): number {
  return space.layers.reduce((sum, layers) => sum + (space.heads.length * space.ffn.length) ** layers, 0);
}

/**
 * Checks that a sub-network fits inside the full model; its values need not be among the choices.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function validateSubnet(space: Omit<ElasticSpace, 'layers' | 'heads' | 'ffn'>, subnet: SubnetConfig): void {
  const { totalLayers, headGroup } = space;
  requireInteger('layers', subnet.layers, totalLayers);
  for (const [name, values] of [
    ['heads', subnet.heads],
    ['ffn', subnet.ffn],
  ] as const) {
    if (values.length !== totalLayers) {
      throw new SupernetError(
        'invalid-subnet',
        `${name} has ${values.length} entries: the full model has ${totalLayers} layers`,
        { name, length: values.length, totalLayers },
      );
    }
  }
  for (let layer = 0; layer < subnet.layers; layer++) {
    const heads = subnet.heads[layer] as number;
    requireInteger('heads', heads, space.maxHeads?.[layer] ?? space.fullHeads, layer);
    requireInteger('ffn', subnet.ffn[layer] as number, space.maxFfn?.[layer] ?? space.fullFfn, layer);
    if (heads % headGroup !== 0) {
      throw new SupernetError(
        'invalid-subnet',
        `heads[${layer}] = ${heads} is no multiple of the grouped-query group ${headGroup}`,
        { layer, heads, headGroup },
      );
    }
  }
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
