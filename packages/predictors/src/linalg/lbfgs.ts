// L-BFGS (Nocedal & Wright 2006, algorithm 7.4) inside a box, for a handful of smooth parameters that may be far from their best.

/** A value with its gradient, to be minimised; Infinity where it is not defined. */
export type Objective = (point: Float64Array) => { readonly value: number; readonly gradient: Float64Array };

export interface LbfgsOptions {
  readonly lower: Float64Array;
  readonly upper: Float64Array;
  readonly maxEvaluations: number;
  /** Stops when a step lowers the value by less than this. */
  readonly tolerance: number;
  /** No component moves further in one step. */
  readonly maxStep: number;
}

export interface LbfgsResult {
  readonly point: Float64Array;
  readonly value: number;
  readonly evaluations: number;
}

const MEMORY = 8;
/** Share of the decrease that the slope promises (Nocedal & Wright 2006, eq. 3.4): a pure number. */
const ARMIJO = 1e-4;
/** Steps of less curvature say nothing of the Hessian. Points and values here are logarithms, which have no unit. */
const LEAST_CURVATURE = 1e-10;
/** Least scale of the first guess of the inverse Hessian. */
const LEAST_SCALE = 1e-6;

/** Yields the share of evaluations used, before each. */
export function* minimizeLbfgs(
  objective: Objective,
  start: Float64Array,
  options: LbfgsOptions,
): Generator<number, LbfgsResult, void> {
  const { lower, upper, maxEvaluations, tolerance, maxStep } = options;
  const d = start.length;
  const clip = (point: Float64Array) => point.map((value, k) => Math.min(upper[k]!, Math.max(lower[k]!, value)));
  let point = clip(start);
  let { value, gradient } = objective(point);
  let evaluations = 1;
  const steps: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  while (evaluations < maxEvaluations && Number.isFinite(value)) {
    // Parameters at a bound that want to leave the box stay there.
    const fixed = point.map((x, k) =>
      Number((x <= lower[k]! && gradient[k]! > 0) || (x >= upper[k]! && gradient[k]! < 0)),
    );
    const direction = twoLoops(steps, gradient, fixed);
    let slope = 0;
    for (let k = 0; k < d; k++) slope += direction[k]! * gradient[k]!;
    if (!(slope < 0)) {
      if (steps.length === 0) break;
      steps.length = 0;
      continue;
    }
    const longest = direction.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    let length = Math.min(1, maxStep / longest);
    let next = point;
    let outcome = { value: Infinity, gradient };
    for (let trial = 0; trial < 12 && evaluations < maxEvaluations; trial++) {
      yield evaluations / maxEvaluations;
      next = clip(point.map((x, k) => x + length * direction[k]!));
      outcome = objective(next);
      evaluations++;
      if (outcome.value <= value + ARMIJO * length * slope) break;
      // The parabola through value, slope and the trial, kept within a tenth and a half.
      const parabola = Number.isFinite(outcome.value)
        ? (-slope * length) / (2 * ((outcome.value - value) / length - slope))
        : 0;
      length *= Math.min(0.5, Math.max(0.1, parabola / length || 0.1));
    }
    if (!(outcome.value < value)) {
      if (steps.length === 0) break;
      steps.length = 0;
      continue;
    }
    const s = next.map((x, k) => x - point[k]!);
    const y = outcome.gradient.map((g, k) => g - gradient[k]!);
    const curvature = s.reduce((sum, x, k) => sum + x * y[k]!, 0);
    if (curvature > LEAST_CURVATURE) {
      steps.push({ s, y, rho: 1 / curvature });
      if (steps.length > MEMORY) steps.shift();
    }
    const gain = value - outcome.value;
    point = next;
    ({ value, gradient } = outcome);
    if (gain < tolerance) break;
  }
  return { point, value, evaluations };
}

/** −H·gradient from the last steps; components that are fixed stay 0. */
function twoLoops(
  steps: readonly { s: Float64Array; y: Float64Array; rho: number }[],
  gradient: Float64Array,
  fixed: Float64Array,
): Float64Array {
  const q = gradient.map((g, k) => (fixed[k] ? 0 : g));
  const inner = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, k) => sum + (fixed[k] ? 0 : x * b[k]!), 0);
  const alphas: number[] = [];
  for (let i = steps.length - 1; i >= 0; i--) {
    const { s, y, rho } = steps[i]!;
    const alpha = (alphas[i] = rho * inner(s, q));
    for (let k = 0; k < q.length; k++) if (!fixed[k]) q[k]! -= alpha * y[k]!;
  }
  const last = steps.at(-1);
  const squares = last ? inner(last.y, last.y) : 0;
  const scale =
    last && squares > 0
      ? Math.max(LEAST_SCALE, inner(last.s, last.y) / squares)
      : 1 / Math.max(1, Math.sqrt(inner(q, q)));
  for (let k = 0; k < q.length; k++) q[k]! *= scale;
  steps.forEach(({ s, y, rho }, i) => {
    const beta = rho * inner(y, q);
    for (let k = 0; k < q.length; k++) if (!fixed[k]) q[k]! += (alphas[i]! - beta) * s[k]!;
  });
  return q.map((value) => -value);
}
