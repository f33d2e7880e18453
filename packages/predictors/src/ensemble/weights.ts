// Weights of a stack: shares ≥ 0 that sum to 1, of least squared error (Breiman 1996, "Stacked regressions").

/** Sweeps over all pairs; a handful is enough for a handful of members. */
const MAX_SWEEPS = 2000;
/** Shares, which are pure numbers, that no longer move. */
const STILL = 1e-12;

/**
 * Minimises ‖Σ wᵢ·predictedᵢ − targets‖² over the simplex, exactly, pair by pair: with Σw = 1 this is wᵀGw, G the Gram matrix of the errors.
 *
 * @param predicted one list of out-of-fold predictions a member
 */
export function simplexWeights(predicted: readonly Float64Array[], targets: Float64Array): Float64Array {
  const m = predicted.length;
  const raw = predicted.map((values) => values.map((value, i) => value - targets[i]!));
  // In units of the largest error, whose square neither overflows nor vanishes.
  const largest = raw.reduce((most, list) => list.reduce((a, b) => Math.max(a, Math.abs(b)), most), 0) || 1;
  const errors = raw.map((list) => list.map((value) => value / largest));
  const gram = errors.map((a) => errors.map((b) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)));
  const weights = new Float64Array(m);
  // From the best single member.
  const single = gram.map((row, i) => row[i]!);
  weights[single.indexOf(Math.min(...single))] = 1;
  const slope = (i: number): number => gram[i]!.reduce((sum, value, j) => sum + value * weights[j]!, 0);
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let moved = 0;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < i; j++) {
        const curvature = gram[i]![i]! + gram[j]![j]! - 2 * gram[i]![j]!;
        if (!(curvature > 0)) continue;
        const wanted = (slope(j) - slope(i)) / curvature;
        const step = Math.min(weights[j]!, Math.max(-weights[i]!, wanted));
        weights[i] = step === -weights[i]! ? 0 : weights[i]! + step;
        weights[j] = step === weights[j]! ? 0 : weights[j]! - step;
        moved = Math.max(moved, Math.abs(step));
      }
    }
    if (moved < STILL) break;
  }
  return weights;
}
