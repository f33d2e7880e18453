// A Gaussian process with one length scale, chosen by marginal likelihood (Rasmussen & Williams 2006, chapter 2 and §5.4): the default predictor.

/** Length scales tried: multiples of the mean squared distance between training points. */
const LENGTHS = [0.5, 1, 2, 4, 8, 16];
/** Noise tried: shares of the targets' variance. */
const NOISES = [1e-4, 1e-3, 1e-2, 1e-1];

interface Fit {
  readonly likelihood: number;
  readonly weights: Float64Array;
  readonly scale: number;
  readonly amplitude: number;
  readonly length: number;
  readonly noise: number;
}

/** A fitted process. */
export interface GaussianProcess {
  predict(x: readonly number[]): number;
  /** Multiple of the mean squared distance, and share of the variance. */
  readonly length: number;
  readonly noise: number;
}

/**
 * Fits the process to rows `X` and targets `y` (at least two rows).
 *
 * Cost: one Cholesky factorisation of the n×n kernel for each of 24 settings, 8·n³ flops in all; a prediction is n·d.
 */
export function fitGaussianProcess(X: readonly (readonly number[])[], y: readonly number[]): GaussianProcess {
  const n = X.length;
  const mean = y.reduce((a, b) => a + b, 0) / n;
  const deviation = Math.sqrt(y.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
  if (!(deviation > 0)) return { predict: () => mean, length: NaN, noise: NaN };
  const rows = X.map((x) => Float64Array.from(x));
  const targets = Float64Array.from(y, (value) => (value - mean) / deviation);
  const distances = rows.map((a, i) => Float64Array.from({ length: i + 1 }, (_, j) => squaredDistance(a, rows[j]!)));
  const average = distances.reduce((sum, row) => sum + row.reduce((a, b) => a + b, 0), 0) / ((n * (n - 1)) / 2) || 1;
  let best: Fit | undefined;
  for (const length of LENGTHS) {
    for (const noise of NOISES) {
      const fit = tryFit(distances, targets, average, length, noise);
      if (fit && (!best || fit.likelihood > best.likelihood)) best = fit;
    }
  }
  if (!best) return { predict: () => mean, length: NaN, noise: NaN };
  const { weights, scale, amplitude, length, noise } = best;
  const columns = columnsOf(rows);
  const norms = Float64Array.from(rows, (row) => dot(row, row));
  const distance = new Float64Array(n);
  return {
    length,
    noise,
    predict(x) {
      // ‖a − x‖² = ‖a‖² + ‖x‖² − 2a·x, column by column: most features are 0, and each column is contiguous.
      distance.set(norms);
      let norm = 0;
      for (let k = 0; k < x.length; k++) {
        const value = x[k]!;
        if (value === 0) continue;
        norm += value * value;
        const column = columns[k]!;
        const factor = -2 * value;
        for (let i = 0; i < n; i++) distance[i]! += factor * column[i]!;
      }
      let sum = 0;
      for (let i = 0; i < n; i++) sum += weights[i]! * Math.exp(-(distance[i]! + norm) * scale);
      return mean + deviation * amplitude * sum;
    },
  };
}

function columnsOf(rows: readonly Float64Array[]): readonly Float64Array[] {
  return Array.from(rows[0]!, (_, k) => Float64Array.from(rows, (row) => row[k]!));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}

function squaredDistance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) {
    const difference = a[k]! - b[k]!;
    sum += difference * difference;
  }
  return sum;
}

/** Likelihood with the output variance profiled out; undefined where the kernel is not numerically positive definite. */
function tryFit(distances: readonly Float64Array[], targets: Float64Array, average: number, length: number, noise: number): Fit | undefined {
  const n = targets.length;
  const scale = 1 / (2 * length * average);
  // The longer the length, the larger the amplitude that spans the same range of outputs.
  const amplitude = 2 * length;
  const factor: Float64Array[] = [];
  const weights = Float64Array.from(targets);
  let logDeterminant = 0;
  let squares = 0;
  for (let i = 0; i < n; i++) {
    const row = new Float64Array(i + 1);
    const distance = distances[i]!;
    for (let j = 0; j <= i; j++) {
      const other = j === i ? row : factor[j]!;
      let sum = amplitude * Math.exp(-distance[j]! * scale) + (i === j ? noise : 0);
      for (let k = 0; k < j; k++) sum -= row[k]! * other[k]!;
      if (j < i) row[j] = sum / other[j]!;
      else if (sum > 0) row[j] = Math.sqrt(sum);
      else return undefined;
    }
    factor.push(row);
    for (let k = 0; k < i; k++) weights[i]! -= row[k]! * weights[k]!;
    weights[i]! /= row[i]!;
    logDeterminant += Math.log(row[i]!);
    squares += weights[i]! ** 2;
  }
  for (let i = n - 1; i >= 0; i--) {
    weights[i]! /= factor[i]![i]!;
    for (let k = 0; k < i; k++) weights[k]! -= factor[i]![k]! * weights[i]!;
  }
  return { likelihood: -logDeterminant - 0.5 * n * Math.log(squares / n), weights, scale, amplitude, length, noise };
}
