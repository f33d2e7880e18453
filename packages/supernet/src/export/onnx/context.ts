// What every part of a graph under construction needs.
import type { ModelConfig } from '@hip/checkpoints';
import type { OnnxGraph } from './graph.ts';
import type { Rotation } from './rotation.ts';
import type { ExportWeights } from './weights.ts';

/** Cached keys and values of a graph that goes on from earlier tokens. */
export interface CacheContext {
  /** Tokens of each row so far, less one [batch] int32, and columns of the mask, int32. */
  readonly lastPositions: string;
  readonly total: string;
  /** Columns of the mask, int64. */
  readonly columns: string;
  /** Positions of this pass's tokens [batch, T] int64. */
  readonly positions: string;
}

/** Relative positions of a graph. */
export interface RelativeContext {
  /** [rows, D], after its norm. */
  readonly table: string;
  /** Row of each query and key [T, T] int64. */
  readonly rows: string;
}

/** Which weights of a multiway model tokens go through: one branch's, or vision's the first and language's the others. */
export type Branch = 'vision' | 'language' | { readonly images: number };

/** Values every layer needs. */
export interface LayerContext {
  readonly graph: OnnxGraph;
  readonly weights: ExportWeights;
  readonly config: ModelConfig;
  /** Tokens of this pass [T] int64, counted from 0. */
  readonly positions: string;
  /** What scores may be at most [B, 1, 1, 1, keys]: ∞ of real tokens, the lowest of padding. */
  readonly padding: string | undefined;
  readonly cache: CacheContext | undefined;
  readonly relative?: RelativeContext | undefined;
  readonly branch?: Branch | undefined;
  /** Rotation of a layer; undefined where it has none. */
  readonly rotation: (layer: number) => Rotation | undefined;
  /** Score of a hidden key: finite, so that a row of padding only stays finite. */
  readonly lowest: number;
}
