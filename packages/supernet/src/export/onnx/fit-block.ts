// Scale and least value of a block of weights in 16 steps: a grid that it lies on already, or the one of the least squared error.

/** Steps of a block: `low + scale · code`, codes 0 to 15. */
export interface Grid {
  readonly scale: number;
  readonly low: number;
}

const MOST = 15;
/** Share of a step by which values may miss a grid that they were made on: rounding to float16 does as much. */
const MISS = 0.02;
/** Shares of the block's extent that 16 steps are tried over: a few outliers may be cut. */
const SHARES = [1, 0.92, 0.85] as const;

/**
 * The coarsest grid of at most 16 steps that all values lie on.
 *
 * @param isFree - the least value is any number; else −low / scale is a whole number from 0 to 15, a zero point
 */
export function gridOf(block: Float32Array, isFree: boolean): Grid | undefined {
  let [low, high] = [Infinity, -Infinity];
  for (const value of block) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) return isFree || low === 0 ? { scale: 0, low } : undefined;
  for (let steps = 1; steps <= MOST; steps++) {
    const scale = (high - low) / steps;
    let isOn = true;
    for (let i = 0; isOn && i < block.length; i++) isOn = isWhole(((block[i] as number) - low) / scale);
    if (!isOn) continue;
    const zero = -low / scale;
    if (isFree || (isWhole(zero) && zero > -0.5 && zero < MOST + 0.5)) return { scale, low };
  }
  return undefined;
}

function isWhole(steps: number): boolean {
  return Math.abs(steps - Math.round(steps)) <= MISS;
}

/** @param isFree - as of {@link gridOf} */
export function fitBlock(block: Float32Array, isFree: boolean): Grid {
  const grid = gridOf(block, isFree);
  if (grid) return grid;
  let [low, high] = [isFree ? Infinity : 0, isFree ? -Infinity : 0];
  for (const value of block) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) return { scale: 0, low: isFree ? low : 0 };
  let best: Grid = { scale: 0, low: 0 };
  let least = Infinity;
  const consider = (grid: Grid): void => {
    const error = errorOf(block, grid);
    if (error >= least) return;
    [best, least] = [grid, error];
  };
  for (const share of SHARES) {
    const scale = ((high - low) / MOST) * share;
    const start = low + ((1 - share) * (high - low)) / 2;
    consider({ scale, low: isFree ? start : -zeroPoint(start, scale) * scale });
  }
  consider(refined(block, best, isFree));
  return best;
}

/** The whole number of steps below zero that is nearest to `start`. */
function zeroPoint(start: number, scale: number): number {
  return Math.max(0, Math.min(MOST, Math.round(-start / scale)));
}

function codeOf(value: number, inverse: number, low: number): number {
  const step = (value - low) * inverse + 0.5;
  return step < 1 ? 0 : step >= MOST ? MOST : Math.trunc(step);
}

/** Scale (and least value) of the least squared error for the codes of a grid. */
function refined(block: Float32Array, grid: Grid, isFree: boolean): Grid {
  const { low } = grid;
  const inverse = 1 / grid.scale;
  const zero = Math.round(-low * inverse);
  let [n, sumC, sumV, sumCC, sumCV] = [0, 0, 0, 0, 0];
  for (let i = 0; i < block.length; i++) {
    const value = block[i] as number;
    const code = codeOf(value, inverse, low) - (isFree ? 0 : zero);
    n++;
    sumC += code;
    sumV += value;
    sumCC += code * code;
    sumCV += code * value;
  }
  if (!isFree) {
    const scale = sumCC > 0 ? sumCV / sumCC : 0;
    return scale > 0 ? { scale, low: -zero * scale } : grid;
  }
  const spread = n * sumCC - sumC * sumC;
  const scale = spread > 0 ? (n * sumCV - sumC * sumV) / spread : 0;
  return scale > 0 ? { scale, low: (sumV - scale * sumC) / n } : grid;
}

function errorOf(block: Float32Array, { scale, low }: Grid): number {
  const inverse = 1 / scale;
  let error = 0;
  for (let i = 0; i < block.length; i++) {
    const value = block[i] as number;
    const miss = value - (low + scale * codeOf(value, inverse, low));
    error += miss * miss;
  }
  return error;
}
