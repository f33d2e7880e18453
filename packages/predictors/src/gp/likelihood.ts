// Log marginal likelihood of a Gaussian process and its gradient (Rasmussen & Williams 2006, eq. 2.30 and 5.9).
import type { Table } from '../core/table.ts';
import { dot, factorize, inverseFromFactor, solveLower, solveUpper } from '../linalg/cholesky.ts';

export type GpKernel = 'rbf' | 'matern52';

/**
 * What the likelihood is maximised over: [log σ_f², log σ_n², log ℓ of each group], and log τ of the trend where there is one. Columns of one
 * group share a length scale.
 */
export interface GpProblem {
  readonly kernel: GpKernel;
  readonly table: Table;
  /** Mean 0. */
  readonly targets: Float64Array;
  /** Group of each column, 0 … groupCount − 1. */
  readonly groups: Int32Array;
  readonly groupCount: number;
  /** The lower triangle of the trend's φ·φᵀ. @defaultValue no trend */
  readonly trend?: Float64Array | undefined;
}

export interface Likelihood {
  readonly value: number;
  readonly gradient: Float64Array;
}

const SQRT5 = Math.sqrt(5);
/** Added to the diagonal in units of σ_f²: what double precision needs to factor a smooth kernel. */
export const JITTER = 1e-9;

/** exp(log ℓ)⁻² of each column. */
export function inverseSquares(problem: Pick<GpProblem, 'groups'>, parameters: Float64Array): Float64Array {
  return Float64Array.from(problem.groups, (group) => Math.exp(-2 * parameters[2 + group]!));
}

/** Correlation at scaled squared distance q. */
export function correlation(kernel: GpKernel, q: number): number {
  if (kernel === 'rbf') return Math.exp(-0.5 * q);
  const r = SQRT5 * Math.sqrt(q);
  const decay = Math.exp(-r);
  // Far away the polynomial overflows before the exponential is 0 times it.
  return decay === 0 ? 0 : (1 + r + (r * r) / 3) * decay;
}

/** −2·∂correlation/∂q: the derivative by log ℓ of a group is this times the group's share of q. */
function steepness(kernel: GpKernel, q: number): number {
  if (kernel === 'rbf') return Math.exp(-0.5 * q);
  const r = SQRT5 * Math.sqrt(q);
  const decay = Math.exp(-r);
  return decay === 0 ? 0 : (5 / 3) * (1 + r) * decay;
}

/** Table with each column divided by its length scale, so that plain distances are scaled ones. */
export function byLengths({ rows, columns, data }: Table, weights: Float64Array): Table {
  const roots = weights.map(Math.sqrt);
  const result = new Float64Array(data.length);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < columns; k++) result[i * columns + k] = data[i * columns + k]! * roots[k]!;
  return { rows, columns, data: result };
}

/** The lower triangle of K + σ_n²·I, and of the scaled squared distances. */
export function covariance(
  problem: GpProblem,
  parameters: Float64Array,
): { matrix: Float64Array; distances: Float64Array } {
  const { kernel, table } = problem;
  const { rows: n, columns: d } = table;
  const scaled = byLengths(table, inverseSquares(problem, parameters)).data;
  const amplitude = Math.exp(parameters[0]!);
  const noise = Math.exp(parameters[1]!);
  const matrix = new Float64Array(n * n);
  const distances = new Float64Array(n * n);
  const norms = Float64Array.from({ length: n }, (_, i) => dot(scaled, i * d, scaled, i * d, d));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const q = Math.max(0, norms[i]! + norms[j]! - 2 * dot(scaled, i * d, scaled, j * d, d));
      distances[i * n + j] = q;
      matrix[i * n + j] = amplitude * correlation(kernel, q);
    }
    matrix[i * n + i] = amplitude * (1 + JITTER) + noise;
  }
  const { trend } = problem;
  if (trend) {
    const slope = Math.exp(parameters.at(-1)!);
    for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) matrix[i * n + j]! += slope * trend[i * n + j]!;
  }
  return { matrix, distances };
}

/** Log marginal likelihood and its gradient; −∞ where the covariance cannot be factored. n³/2 + n²·d/2 multiply-adds. */
export function logLikelihood(problem: GpProblem, parameters: Float64Array): Likelihood {
  const { kernel, table, targets, groups } = problem;
  const { rows: n, columns: d, data } = table;
  const { matrix, distances } = covariance(problem, parameters);
  const gradient = new Float64Array(parameters.length);
  if (!factorize(matrix, n)) return { value: -Infinity, gradient };
  const alpha = solveUpper(matrix, n, solveLower(matrix, n, Float64Array.from(targets)));
  let value = -0.5 * dot(alpha, 0, targets, 0, n) - 0.5 * n * Math.log(2 * Math.PI);
  for (let i = 0; i < n; i++) value -= Math.log(matrix[i * n + i]!);
  const inverse = inverseFromFactor(matrix, n);
  // ½·tr((ααᵀ − K⁻¹)·∂K); pairs below the diagonal count twice.
  const amplitude = Math.exp(parameters[0]!);
  const noise = Math.exp(parameters[1]!);
  const perColumn = new Float64Array(d);
  let trace = 0;
  let common = 0;
  let signal = 0;
  let slopes = 0;
  const { trend } = problem;
  for (let i = 0; i < n; i++) {
    const diagonal = alpha[i]! * alpha[i]! - inverse[i * n + i]!;
    trace += 0.5 * diagonal;
    signal += 0.5 * diagonal * amplitude * (1 + JITTER);
    if (trend) slopes += 0.5 * diagonal * trend[i * n + i]!;
    for (let j = 0; j < i; j++) {
      const weight = alpha[i]! * alpha[j]! - inverse[i * n + j]!;
      const q = distances[i * n + j]!;
      if (trend) slopes += weight * trend[i * n + j]!;
      signal += weight * amplitude * correlation(kernel, q);
      const slope = weight * amplitude * steepness(kernel, q);
      if (problem.groupCount === 1) {
        common += slope * q;
        continue;
      }
      const a = i * d;
      const b = j * d;
      for (let k = 0; k < d; k++) {
        const difference = data[a + k]! - data[b + k]!;
        perColumn[k]! += slope * difference * difference;
      }
    }
  }
  gradient[0] = signal;
  gradient[1] = noise * trace;
  if (trend) gradient[gradient.length - 1] = Math.exp(parameters.at(-1)!) * slopes;
  if (problem.groupCount === 1) {
    gradient[2] = common;
    return { value, gradient };
  }
  const weights = inverseSquares(problem, parameters);
  for (let k = 0; k < d; k++) gradient[2 + groups[k]!]! += perColumn[k]! * weights[k]!;
  return { value, gradient };
}
