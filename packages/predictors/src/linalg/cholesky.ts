// Cholesky factors of dense symmetric matrices, row after row in one block, as the Gaussian process and the ridge need them.

/** Σ a[i]·b[i], four sums at a time: the compiler keeps them in registers. */
export function dot(a: Float64Array, aFrom: number, b: Float64Array, bFrom: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let k = 0;
  for (; k + 3 < length; k += 4) {
    s0 += a[aFrom + k]! * b[bFrom + k]!;
    s1 += a[aFrom + k + 1]! * b[bFrom + k + 1]!;
    s2 += a[aFrom + k + 2]! * b[bFrom + k + 2]!;
    s3 += a[aFrom + k + 3]! * b[bFrom + k + 3]!;
  }
  for (; k < length; k++) s0 += a[aFrom + k]! * b[bFrom + k]!;
  return s0 + s1 + (s2 + s3);
}

/**
 * Replaces the lower triangle of `matrix` (n×n) by its Cholesky factor L, matrix = L·Lᵀ. n³/6 multiply-adds.
 *
 * @returns false where the matrix is not numerically positive definite; `matrix` is then spoilt
 */
export function factorize(matrix: Float64Array, n: number): boolean {
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let j = 0; j < i; j++) {
      matrix[row + j] = (matrix[row + j]! - dot(matrix, row, matrix, j * n, j)) / matrix[j * n + j]!;
    }
    const pivot = matrix[row + i]! - dot(matrix, row, matrix, row, i);
    if (!(pivot > 0)) return false;
    matrix[row + i] = Math.sqrt(pivot);
  }
  return true;
}

/** Solves L·z = b in place. */
export function solveLower(factor: Float64Array, n: number, b: Float64Array): Float64Array {
  for (let i = 0; i < n; i++) b[i] = (b[i]! - dot(factor, i * n, b, 0, i)) / factor[i * n + i]!;
  return b;
}

/** Solves Lᵀ·x = b in place. */
export function solveUpper(factor: Float64Array, n: number, b: Float64Array): Float64Array {
  for (let i = n - 1; i >= 0; i--) {
    const value = (b[i]! /= factor[i * n + i]!);
    for (let k = 0; k < i; k++) b[k]! -= factor[i * n + k]! * value;
  }
  return b;
}

/** The lower triangle of (L·Lᵀ)⁻¹ from the factor; n³/3 multiply-adds, contiguous ones. */
export function inverseFromFactor(factor: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  // Rows of L⁻¹ by forward substitution on the unit matrix.
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let k = 0; k < i; k++) {
      const value = -factor[row + k]!;
      const other = k * n;
      for (let j = 0; j <= k; j++) lower[row + j]! += value * lower[other + j]!;
    }
    lower[row + i] = 1;
    const pivot = 1 / factor[row + i]!;
    for (let j = 0; j <= i; j++) lower[row + j]! *= pivot;
  }
  // (L⁻¹)ᵀ·L⁻¹, one row of L⁻¹ at a time.
  for (let k = 0; k < n; k++) {
    const row = k * n;
    for (let i = 0; i <= k; i++) {
      const value = lower[row + i]!;
      if (value === 0) continue;
      const to = i * n;
      for (let j = 0; j <= i; j++) inverse[to + j]! += value * lower[row + j]!;
    }
  }
  return inverse;
}
