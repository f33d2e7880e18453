// The eigenbasis ridge regression works in, and its leave-one-out residuals in closed form.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Table } from '../core/table.ts';
import { dot } from '../linalg/cholesky.ts';

/** The eigenbasis of the centred rows: `scores` = X·V (n×r), `squares` = eigenvalues of XᵀX, `vectors` = V as r rows of d. */
export interface Basis {
  readonly rank: number;
  readonly squares: Float64Array;
  readonly vectors: Float64Array;
  readonly scores: Float64Array;
}

/** Eigenvalues below this share of the largest, times the size of the matrix, are rounding of it. */
const RANK = 1e-15;

/** 1 − h, a pure number, of a row that is fitted exactly but for rounding: what it would be without the row is not known. */
const LEAST_FREEDOM = 1e-12;

/** From the smaller of XᵀX (d×d) and XXᵀ (n×n). */
export function basisOf({ rows: n, columns: d, data }: Table): Basis {
  const narrow = d <= n;
  const size = narrow ? d : n;
  const gram = Matrix.zeros(size, size);
  const X = new Matrix(Array.from({ length: n }, (_, i) => data.subarray(i * d, (i + 1) * d)));
  const columns = narrow
    ? X.transpose()
        .to2DArray()
        .map((row) => Float64Array.from(row))
    : undefined;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const value = columns ? dot(columns[i]!, 0, columns[j]!, 0, n) : dot(data, i * d, data, j * d, d);
      gram.set(i, j, value);
      gram.set(j, i, value);
    }
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const largest = Math.max(...realEigenvalues, 0);
  const kept = realEigenvalues
    .map((value, index) => ({ value, index }))
    .filter(({ value }) => value > largest * size * RANK && value > 0);
  const rank = kept.length;
  const vectors = new Float64Array(rank * d);
  const scores = new Float64Array(n * rank);
  const squares = Float64Array.from(kept, ({ value }) => value);
  kept.forEach(({ value, index }, r) => {
    const root = Math.sqrt(value);
    if (narrow) {
      for (let k = 0; k < d; k++) vectors[r * d + k] = eigenvectorMatrix.get(k, index);
      for (let i = 0; i < n; i++) scores[i * rank + r] = dot(data, i * d, vectors, r * d, d);
    } else {
      for (let i = 0; i < n; i++) {
        const u = eigenvectorMatrix.get(i, index);
        scores[i * rank + r] = u * root;
        for (let k = 0; k < d; k++) vectors[r * d + k]! += (u * data[i * d + k]!) / root;
      }
    }
  });
  return { rank, squares, vectors, scores };
}

/**
 * Leave-one-out residuals without refits: eᵢ/(1 − hᵢ), where the hat matrix has hᵢ = 1/n + Σⱼ zᵢⱼ²/(sⱼ + λ).
 *
 * @param targets centred
 */
export function leaveOneOut(
  { rank, squares, scores }: Basis,
  targets: Float64Array,
  penalty: number,
): { residuals: Float64Array; leverages: Float64Array } {
  const n = targets.length;
  const projections = new Float64Array(rank);
  for (let i = 0; i < n; i++) for (let j = 0; j < rank; j++) projections[j]! += scores[i * rank + j]! * targets[i]!;
  const residuals = new Float64Array(n);
  const leverages = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let fitted = 0;
    let leverage = 1 / n;
    for (let j = 0; j < rank; j++) {
      const z = scores[i * rank + j]!;
      const shrunk = z / (squares[j]! + penalty);
      fitted += shrunk * projections[j]!;
      leverage += shrunk * z;
    }
    leverages[i] = leverage;
    residuals[i] = (targets[i]! - fitted) / Math.max(1 - leverage, LEAST_FREEDOM);
  }
  return { residuals, leverages };
}
