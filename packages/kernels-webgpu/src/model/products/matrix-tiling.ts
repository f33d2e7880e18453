// How a workgroup's tile of a product is cut among subgroups and 16×16 matrices, and what memory that takes.

/** Rows, columns and depth of a matrix. */
export const MATRIX = 16;

/** Subgroups along rows and outputs, and matrices of each. */
export interface MatrixTiling {
  readonly rowSubgroups: number;
  readonly outputSubgroups: number;
  readonly rowMatrices: number;
  readonly outputMatrices: number;
  /** Columns that are staged at a time, a multiple of 16. */
  readonly depth: number;
}

/** Rows and outputs of a workgroup. */
export function tileOf({ rowSubgroups, outputSubgroups, rowMatrices, outputMatrices }: MatrixTiling): {
  readonly rows: number;
  readonly outputs: number;
} {
  return { rows: MATRIX * rowSubgroups * rowMatrices, outputs: MATRIX * outputSubgroups * outputMatrices };
}

/** 16-byte elements between two staged rows: one more than they hold, so that they start in different banks. */
export function stagedStride({ depth }: MatrixTiling): number {
  return depth / 8 + 1;
}

/** 16-byte elements from row to row of the results of some matrices side by side. */
export function resultStride(matrices: number): number {
  return 4 * matrices + 1;
}

/** 16-byte elements of the staged tiles, which the results pass through afterwards: two matrices of each subgroup at least. */
export function stagedVectors(tiling: MatrixTiling): number {
  const { rows, outputs } = tileOf(tiling);
  const results = tiling.rowSubgroups * tiling.outputSubgroups * MATRIX * resultStride(2);
  return Math.max((rows + outputs) * stagedStride(tiling), results);
}

/** Bytes of workgroup memory. */
export function matrixKernelBytes(tiling: MatrixTiling): number {
  return 16 * stagedVectors(tiling);
}
