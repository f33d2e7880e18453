// The genes of an elastic space as named variables, and bit widths behind them.
import { geneCardinalities, genesToSubnet, usedGenes } from '../elastic/genes.ts';
import type { ElasticSpace, SubnetConfig } from '../elastic/types.ts';
import type { OnnxQuantization } from '../export/onnx.ts';

/** One gene: an index into values that lie in an order. Has the shape of a variable of `@instatune/nsga2`. */
export interface SubnetVariable {
  readonly type: 'ordinal';
  readonly name: string;
  readonly values: readonly (number | boolean)[];
}

/** Bits of a weight's codes in the exported file. */
export type WeightBits = 4 | 8;

/** What genes stand for. */
export interface DecodedGenes {
  readonly subnet: SubnetConfig;
  /** Bits of each weight by slot name, where bit widths are genes. */
  readonly bits: ((slot: string) => WeightBits) | undefined;
}

/** The space of a search: sub-networks, and with `bits` a bit width for each layer and one for everything else. */
export class SubnetGenes {
  readonly variables: readonly SubnetVariable[];
  readonly #space: ElasticSpace;
  readonly #bits: readonly WeightBits[];
  readonly #own: number;

  /** @param bits choices of bit widths, ascending; none: weights are as they are */
  constructor(space: ElasticSpace, bits: readonly WeightBits[] = []) {
    this.#space = space;
    this.#bits = bits;
    this.#own = geneCardinalities(space).length;
    const perLayer = (name: string, values: readonly (number | boolean)[]): SubnetVariable[] =>
      Array.from({ length: space.totalLayers }, (_, layer) => ({ type: 'ordinal', name: `${name}.${layer}`, values }));
    const skipped = (name: string, layers: readonly number[] = []): SubnetVariable[] =>
      layers.map((layer) => ({ type: 'ordinal', name: `${name}.${layer}`, values: [false, true] }));
    this.variables = [
      { type: 'ordinal', name: 'layers', values: space.layers },
      ...perLayer('heads', space.heads),
      ...perLayer('ffn', space.ffn),
      ...(space.hidden ? [{ type: 'ordinal', name: 'hidden', values: space.hidden } as const] : []),
      ...(space.groupHeads ? perLayer('group-heads', space.groupHeads) : []),
      ...skipped('attention', space.skip?.attention),
      ...skipped('ffn-kept', space.skip?.ffn),
      ...(space.ranks ? perLayer('rank', space.ranks) : []),
      ...(bits.length > 0
        ? [...perLayer('bits', bits), { type: 'ordinal', name: 'bits.rest', values: bits } as const]
        : []),
    ];
  }

  /** @throws SupernetError `invalid-subnet` */
  decode(genes: readonly number[]): DecodedGenes {
    const subnet = genesToSubnet(this.#space, genes.slice(0, this.#own));
    if (this.#bits.length === 0) return { subnet, bits: undefined };
    const chosen = genes.slice(this.#own).map((gene) => this.#bits[gene]!);
    return { subnet, bits: (slot) => chosen[Number(/^layers\.(\d+)\./.exec(slot)?.[1] ?? chosen.length - 1)]! };
  }

  /** Which genes have an effect: those of layers that are there. */
  active(genes: readonly number[]): boolean[] {
    const own = genes.slice(0, this.#own);
    const used = usedGenes(this.#space, own);
    if (this.#bits.length === 0) return used;
    const { layers, skipAttention, skipFfn } = genesToSubnet(this.#space, own);
    const isThere = (layer: number) => layer < layers && !(skipAttention?.[layer] && skipFfn?.[layer]);
    return [...used, ...Array.from({ length: this.#space.totalLayers }, (_, layer) => isThere(layer)), true];
  }

  /** Genes of a sub-network's genes with every weight at its most bits. */
  withMostBits(genes: readonly number[]): number[] {
    const most = this.#bits.length - 1;
    return [...genes, ...Array.from({ length: this.variables.length - this.#own }, () => most)];
  }

  /** For people: the sub-network, lists of layers that are there, bits of each. */
  describe(genes: readonly number[]): Readonly<Record<string, unknown>> {
    const { subnet, bits } = this.decode(genes);
    const layers = Array.from({ length: subnet.layers }, (_, layer) => layer);
    const shown = Object.entries(subnet).flatMap(([name, value]): [string, unknown][] => {
      if (value === undefined) return [];
      return [[name, Array.isArray(value) ? value.slice(0, subnet.layers) : value]];
    });
    return Object.fromEntries(
      bits ? [...shown, ['bits', layers.map((layer) => bits(`layers.${layer}.`))], ['bits.rest', bits('')]] : shown,
    );
  }
}

/** What `exportOnnx` and `quantizedModel` are given to write these bits. */
export function quantizationOf(
  bits: NonNullable<DecodedGenes['bits']>,
  given: OnnxQuantization | undefined,
): { readonly dtype: 'q8'; readonly quantization: OnnxQuantization } {
  return { dtype: 'q8', quantization: { ...given, bits } };
}
