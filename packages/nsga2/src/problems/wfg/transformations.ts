// Transformations of the WFG toolkit (Huband, Hingston, Barone and While 2006, table XI): all from [0, 1] to [0, 1].

/** Rounding must not lead out of the range that the next transformation takes. */
const clamp = (value: number): number => (value < 0 ? 0 : value > 1 ? 1 : value);

/** Bias by a power: `power` < 1 towards 1, > 1 towards 0. */
export const polynomialBias = (y: number, power: number): number => clamp(y ** power);

/** A flat region: `height` everywhere between `from` and `to`. */
export function flatBias(y: number, height: number, from: number, to: number): number {
  // Written so that 0 stays 0: what follows makes 0.46 of a rounding error.
  if (y < from) return clamp((height * y) / from);
  return y > to ? clamp(height + ((1 - height) * (y - to)) / (1 - to)) : height;
}

/** A bias that depends on other parameters, reduced to `u`: y to a power between `low` and `high`. */
export const dependentPower = (u: number, a: number, low: number, high: number): number =>
  low + (high - low) * (a - (1 - 2 * u) * Math.abs(Math.floor(0.5 - u) + a));

export const dependentBias = (y: number, u: number, a: number, low: number, high: number): number =>
  clamp(y ** dependentPower(u, a, low, high));

/** Moves the optimum to `optimum`, to which what differs by rounding belongs: the bias of WFG1 would make 0.46 of 10⁻¹⁷. */
export function linearShift(y: number, optimum: number): number {
  const distance = Math.abs(y - optimum);
  return distance < Number.EPSILON ? 0 : clamp(distance / Math.abs(Math.floor(optimum - y) + optimum));
}

/** A narrow optimum at `optimum` amid slopes that lead away from it. */
export function deceptiveShift(y: number, optimum: number, opening: number, height: number): number {
  const left = (Math.floor(y - optimum + opening) * (1 - height + (optimum - opening) / opening)) / (optimum - opening);
  const right =
    (Math.floor(optimum + opening - y) * (1 - height + (1 - optimum - opening) / opening)) / (1 - optimum - opening);
  return clamp(1 + (Math.abs(y - optimum) - opening) * (left + right + 1 / opening));
}

/** Many optima, the best at `optimum`: `minima` of them, whose size falls with `size`. */
export function multimodalShift(y: number, minima: number, size: number, optimum: number): number {
  const distance = Math.abs(y - optimum) / (2 * (Math.floor(optimum - y) + optimum));
  const waves = Math.cos((4 * minima + 2) * Math.PI * (0.5 - distance));
  return clamp((1 + waves + 4 * size * distance ** 2) / (size + 2));
}

/** Weighted mean of y[from … to). */
export function weightedSum(
  y: ArrayLike<number>,
  from: number,
  to: number,
  weight: (i: number) => number = () => 1,
): number {
  let sum = 0;
  let weights = 0;
  for (let i = from; i < to; i++) {
    sum += weight(i) * y[i]!;
    weights += weight(i);
  }
  return clamp(sum / weights);
}

/** Mean of y[from … to) in which each value interacts with the `degree` − 1 after it. */
export function nonSeparable(y: ArrayLike<number>, from: number, to: number, degree: number): number {
  const length = to - from;
  let sum = 0;
  for (let j = 0; j < length; j++) {
    sum += y[from + j]!;
    for (let k = 0; k <= degree - 2; k++) sum += Math.abs(y[from + j]! - y[from + ((j + k + 1) % length)]!);
  }
  const half = Math.ceil(degree / 2);
  return clamp(sum / ((length / degree) * half * (1 + 2 * degree - 2 * half)));
}
