// A sub-network, and the space of those that there are.

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
  /**
   * Rank of the low-rank adapters of each layer, of a model that has any (`addAdapters`): of every adapter the first so many columns of A
   * and rows of B, or as many as it has; 0: none.
   *
   * @defaultValue all
   */
  readonly ranks?: readonly number[] | undefined;
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
  /** Choices of the adapters' rank per layer, ascending, 0 for none; without them it is not elastic. */
  readonly ranks?: readonly number[];
  /** The largest rank of the model's adapters; absent where it has none. */
  readonly fullRank?: number;
  /** Blocks whose products have adapters. */
  readonly adaptedBlocks?: readonly AdaptedBlock[];
}

/** A block of a layer that adapters may be on. */
export type AdaptedBlock = 'attention' | 'ffn';

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
  /** The largest rank of its adapters, and the blocks that they are on; needed where it is elastic. */
  readonly adapters?: { readonly rank: number; readonly blocks: readonly AdaptedBlock[] };
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
  /** Ranks of adapters, 0 among them for none. @defaultValue not elastic */
  readonly ranks?: readonly number[] | undefined;
}

/** What a sub-network must fit into: a space without its choices. */
export type SubnetBounds = Omit<ElasticSpace, 'layers' | 'heads' | 'ffn' | 'hidden' | 'groupHeads' | 'skip' | 'ranks'>;
