// How the kernel of votes on pairs is cut, and the memory that follows from it.
import type { MassStage } from '@hip/mask-search';
import { channelOctets } from './channels.ts';
import { stagedStride, TILE, type Staging } from './matrix.ts';

/** How the kernel is cut. A subgroup takes 16 rows. */
export interface VoteTiling {
  /** Tiles of 16 keys of a round. */
  readonly keyTiles: 2 | 4;
  /** 2: keys and products of two rounds are held, one barrier a round. 1: half the memory, two barriers. */
  readonly buffers: 1 | 2;
  /** Workgroups, each of which takes one cell after another and keeps sums for one. */
  readonly workgroups: number;
}

/** What a vote's workgroup is sized by. */
export interface VoteSizes {
  /** Rows per cell. */
  readonly rows: number;
  readonly subgroupSize: number;
  readonly dims?: MassStage['dims'];
  readonly tiling: VoteTiling;
  /** Candidates of a cell at most. */
  readonly most: number;
}

/** Subgroups of a workgroup. */
export function subgroupsOf(rows: number): number {
  return Math.ceil(rows / TILE);
}

export function voteStaging(headDim: number, { rows, subgroupSize, dims, tiling }: VoteSizes): Staging {
  const { count: octets, at } = channelOctets(headDim, dims);
  return { columns: tiling.keyTiles * TILE, octets, lanes: subgroupsOf(rows) * subgroupSize, at };
}

/** Rounds that hold candidates. */
export function chosenRounds({ most, tiling }: Pick<VoteSizes, 'most' | 'tiling'>): number {
  return Math.ceil((2 * most) / (tiling.keyTiles * TILE));
}

export function stagedOctets(headDim: number, sizes: VoteSizes): number {
  const stage = voteStaging(headDim, sizes);
  return Math.max(
    sizes.tiling.buffers * stage.columns * stagedStride(stage),
    subgroupsOf(sizes.rows) * TILE * stage.octets,
  );
}

/** Groups of four numbers between two rows of products: rows start in different banks. */
export function productStride({ keyTiles }: VoteTiling): number {
  return (keyTiles * TILE) / 4 + 1;
}

/** Workgroup memory in bytes. */
export function voteBytes(headDim: number, sizes: VoteSizes, survivors: number): number {
  const { tiling, rows } = sizes;
  const all = subgroupsOf(rows) * TILE;
  const perRow = tiling.buffers * productStride(tiling) * 16 + 8 + 4 * chosenRounds(sizes);
  return (
    stagedOctets(headDim, sizes) * 16 +
    all * perRow +
    4 * chosenRounds(sizes) +
    8 * tiling.keyTiles * TILE +
    4 * survivors
  );
}

/** Octets of one workgroup's kept sums. */
export function keptOctets(sizes: VoteSizes): number {
  return chosenRounds(sizes) * subgroupsOf(sizes.rows) * TILE * sizes.tiling.keyTiles;
}

/** Bytes of kept sums of a dispatch. */
export function keptBytes(sizes: VoteSizes, workgroups: number): number {
  return 16 * keptOctets(sizes) * workgroups;
}
