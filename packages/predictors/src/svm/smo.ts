// Sequential minimal optimisation for ε-support vector regression, with second-order working sets (Fan, Chen & Lin, JMLR 6, 2005).

export interface SmoOptions {
  /** Bound of each |βᵢ|. */
  readonly cost: number;
  readonly epsilon: number;
  /** Largest violation of the optimality conditions left. */
  readonly tolerance: number;
  readonly maxIterations: number;
}

export interface SmoResult {
  /** βᵢ = αᵢ − αᵢ*, in [−cost, cost], Σβ = 0. */
  readonly beta: Float64Array;
  readonly bias: number;
  readonly iterations: number;
  readonly converged: boolean;
}

/** Curvature where two points coincide; kernel values are of the order of 1 in any unit. */
const TINY = 1e-12;

/**
 * Minimises ½βᵀKβ − βᵀy + ε‖β‖₁ with Σβ = 0 and |βᵢ| ≤ C, as 2n variables αᵢ, αᵢ* ≥ 0.
 *
 * @param kernel n×n, row after row
 */
export function solveSvr(kernel: Float64Array, targets: Float64Array, options: SmoOptions): SmoResult {
  const n = targets.length;
  const { cost, epsilon, tolerance, maxIterations } = options;
  const up = new Float64Array(n);
  const down = new Float64Array(n);
  // Kβ − y: the gradients are ε + slope (of αᵢ) and ε − slope (of αᵢ*).
  const slope = targets.map((value) => -value);
  const diagonal = Float64Array.from({ length: n }, (_, t) => kernel[t * n + t]!);
  let iterations = 0;
  let converged = false;
  let upper = 0;
  let lower = 0;
  for (; iterations < maxIterations; iterations++) {
    // i: the βᵢ that gains most by growing, as αᵢ (below its bound) or by a smaller αᵢ*.
    let i = -1;
    let growsUp = true;
    upper = -Infinity;
    for (let t = 0; t < n; t++) {
      if (up[t]! < cost && -slope[t]! - epsilon > upper) {
        upper = -slope[t]! - epsilon;
        i = t;
        growsUp = true;
      }
      if (down[t]! > 0 && epsilon - slope[t]! > upper) {
        upper = epsilon - slope[t]!;
        i = t;
        growsUp = false;
      }
    }
    // j: the βⱼ whose shrinking lowers the objective most together with it.
    let j = -1;
    let shrinksUp = true;
    lower = Infinity;
    let best = 0;
    const rowI = Math.max(0, i) * n;
    const diagonalI = diagonal[Math.max(0, i)]!;
    for (let t = 0; t < n; t++) {
      const curvature = Math.max(diagonalI + diagonal[t]! - 2 * kernel[rowI + t]!, TINY);
      if (up[t]! > 0) {
        const value = -slope[t]! - epsilon;
        if (value < lower) lower = value;
        const gap = upper - value;
        if (gap > 0 && gap * gap > best * curvature) {
          best = (gap * gap) / curvature;
          j = t;
          shrinksUp = true;
        }
      }
      if (down[t]! < cost) {
        const value = epsilon - slope[t]!;
        if (value < lower) lower = value;
        const gap = upper - value;
        if (gap > 0 && gap * gap > best * curvature) {
          best = (gap * gap) / curvature;
          j = t;
          shrinksUp = false;
        }
      }
    }
    if (i < 0 || j < 0 || upper - lower < tolerance) {
      converged = true;
      break;
    }
    const rowJ = j * n;
    const curvature = Math.max(diagonalI + diagonal[j]! - 2 * kernel[rowI + j]!, TINY);
    const gain =
      (growsUp ? -slope[i]! - epsilon : epsilon - slope[i]!) - (shrinksUp ? -slope[j]! - epsilon : epsilon - slope[j]!);
    // Σβ stays 0: βᵢ grows and βⱼ shrinks by one step, clipped to the box; what meets its bound is exactly on it.
    const roomI = growsUp ? cost - up[i]! : down[i]!;
    const roomJ = shrinksUp ? up[j]! : cost - down[j]!;
    const step = Math.min(gain / curvature, roomI, roomJ);
    if (growsUp) up[i] = step === roomI ? cost : up[i]! + step;
    else down[i] = step === roomI ? 0 : down[i]! - step;
    if (shrinksUp) up[j] = step === roomJ ? 0 : up[j]! - step;
    else down[j] = step === roomJ ? cost : down[j]! + step;
    for (let t = 0; t < n; t++) slope[t]! += step * (kernel[rowI + t]! - kernel[rowJ + t]!);
  }
  // b from the free variables; between the bounds where none is free.
  let sum = 0;
  let free = 0;
  for (let t = 0; t < n; t++) {
    if (up[t]! > 0 && up[t]! < cost) {
      sum -= slope[t]! + epsilon;
      free++;
    }
    if (down[t]! > 0 && down[t]! < cost) {
      sum += epsilon - slope[t]!;
      free++;
    }
  }
  const ends = [upper, lower].filter(Number.isFinite);
  const bias = free > 0 ? sum / free : ends.reduce((a, b) => a + b, 0) / Math.max(1, ends.length);
  return { beta: up.map((value, t) => value - down[t]!), bias, iterations, converged };
}
