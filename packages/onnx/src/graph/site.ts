// What the cutter must know of one attention: where queries, keys and values come from, what is done with them, where it all goes.
import { OnnxError } from '../errors.ts';
import { nodeLabel } from '../model/graph.ts';
import type { NodeProto } from '../model/types.ts';

/** Batch, tokens, heads, channels of a head. */
export type Axis = 'B' | 'S' | 'H' | 'D';

/** A tensor of queries, keys or values. */
export interface Operand {
  readonly value: string;
  /** The order of its four axes; or three axes [B, S, heads · channels], of so many heads. */
  readonly axes: readonly Axis[] | { readonly heads: number };
}

/** A value whose shape is known by what it is. */
export interface KnownShape {
  readonly value: string;
  /** Three axes: heads and channels are one. */
  readonly axes: readonly Axis[];
  /** Keys of past and new tokens; otherwise the new tokens alone. */
  readonly isWhole: boolean;
}

/** What hides keys from rows: 0 and −∞ that are added, or booleans. */
export interface MaskValue {
  readonly value: string;
  readonly kind: 'additive' | 'allowed' | 'hidden';
}

/** A scalar that scores are multiplied with, or divided by. */
export interface Factor {
  readonly value: string;
  readonly divides: boolean;
}

/** Names of the graph's inputs and outputs that hold keys and values; `joined`: one tensor [2, B, H, S, D] holds both. */
export interface CacheNames {
  readonly key: string;
  readonly value: string;
  readonly joined: boolean;
}

/** Rotation of queries and keys inside the attention node. */
export interface Rotation {
  readonly cos: string;
  readonly sin: string;
  readonly interleaved: boolean;
  /** int64 [B, S]; undefined: tokens count from the cache's length. */
  readonly positions: string | undefined;
}

/** One attention that can be cut out. */
export interface AttentionSite {
  /** The node that messages name. */
  readonly node: NodeProto;
  /** Nodes that make q, k and v from what goes into the node. */
  readonly prepare: readonly NodeProto[];
  readonly q: Operand;
  readonly k: Operand;
  readonly v: Operand;
  readonly out: Operand;
  readonly past: CacheNames | undefined;
  readonly present: CacheNames | undefined;
  /** Order of the cache's axes. */
  readonly cacheAxes: readonly Axis[];
  /** Values that hold the whole cache inside the graph: only the attention may read them. */
  readonly whole: readonly string[];
  /** Values on the way to the attention, whose shapes graphs ask for. */
  readonly shapes: readonly KnownShape[];
  /** Undefined: 1/√channels. */
  readonly scale: number | undefined;
  /** Scalars of the graph that multiply the scores besides. */
  readonly factors: readonly Factor[];
  /** 0: none. */
  readonly softcap: number;
  /** Keys that a row sees, itself included; 0: all. */
  readonly window: number;
  /** Rows see no later key, by an attribute. */
  readonly causal: boolean;
  /** The node hides padding itself, by the lengths of the mask. */
  readonly padding: boolean;
  readonly masks: readonly MaskValue[];
  /** Logits [heads] of a key without a value; a number stands for all heads. */
  readonly sink: string | number | undefined;
  readonly rotation: Rotation | undefined;
  /** Weights of the norms of q and k that the node applies itself. */
  readonly norms: { readonly q: string; readonly k: string; readonly epsilon: number } | undefined;
  /** The caller's buffers have a size of their own, of which only the newest tokens are kept. */
  readonly slidingCache: boolean;
}

export const BHSD: readonly Axis[] = ['B', 'H', 'S', 'D'];
export const BSHD: readonly Axis[] = ['B', 'S', 'H', 'D'];
export const BHDS: readonly Axis[] = ['B', 'H', 'D', 'S'];

/** The error for an attention that cannot be cut. @param why - continues "… cannot be cut out: " */
export function refuse(node: NodeProto, why: string, details: Readonly<Record<string, unknown>> = {}): OnnxError {
  const label = nodeLabel(node);
  return new OnnxError('unsupported', `${label} cannot be cut out: ${why}`, { node: label, ...details });
}
