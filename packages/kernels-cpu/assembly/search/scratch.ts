// A search's scratch: where its parts lie.
import * as J from '../job';

/** Rows scored at once. */
export const BATCH_ROWS: i32 = 64;

/** What panels hold: rows; their positive and negative parts; rows and their squares; the slower half of their rotary pairs. */
export const PLAIN: i32 = 0;
export const SIGNS: i32 = 1;
export const SQUARES: i32 = 2;
export const SLOW_HALF: i32 = 3;

// Scratch of a search, bytes from its start: geometry, pointer list, scores of the list, results; then a place to average rows,
// unpacked keys, and per head of the mask the sampled rows as panels (at most twice as deep as a row).
/** Stride groups, panels of eight, depth of the panels (steps where they are integers), rows of the block, row stride, position of the first row, what panels hold. */
export const GROUPS: usize = 0;
export const PANELS: usize = 4;
export const DEPTH: usize = 8;
export const ROW_COUNT: usize = 12;
export const STRIDE: usize = 16;
export const POSITION: usize = 20;
export const FORM: usize = 24;
/** 1 = a single row, whose products need no panels: it lies as it is behind those there would be. */
export const SINGLE: usize = 28;
/** f32: what one unit of the rows' integers is worth. */
export const UNIT: usize = 32;
/** u32 [64], i32 [64], f32 [64]. */
export const LIST: usize = 64;
export const KEY_OF: usize = 320;
export const BEST: usize = 576;
/** f32 [64][8·panels], twice: products of keys; of variances. */
export const PRODUCTS: usize = 832;

// @ts-ignore: decorator
@inline
export function maxPanels(job: usize): i32 { return (J.i(job, J.BLOCK_Q) + 7) >> 3; }
/** Bytes of one head's panels. */
// @ts-ignore: decorator
@inline
export function panelBytes(job: usize): usize { return (<usize>(maxPanels(job) * J.i(job, J.PADDED_DIM)) << 5) * 2; }
// @ts-ignore: decorator
@inline
export function productBytes(job: usize): usize { return <usize>(BATCH_ROWS * maxPanels(job)) << 5; }
/** f32 [8·panels][d]: averaged rows. */
// @ts-ignore: decorator
@inline
export function averageAt(job: usize, s: usize): usize { return s + PRODUCTS + 2 * productBytes(job); }
/** f32 [64][d] */
// @ts-ignore: decorator
@inline
export function unpackedAt(job: usize, s: usize): usize { return averageAt(job, s) + (<usize>(maxPanels(job) * J.i(job, J.PADDED_DIM)) << 5); }
/** Panels of the first head. */
// @ts-ignore: decorator
@inline
export function panelsAt(job: usize, s: usize): usize { return unpackedAt(job, s) + (<usize>(BATCH_ROWS * J.i(job, J.PADDED_DIM)) << 2); }
