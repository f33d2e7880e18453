// Top-p without a sort: probabilities are summed by how far a logit is below the largest, and only one such bin is looked into.
import type { LogitScan } from './logit-scan.ts';

const BINS = 4096;
/** Beyond e^−40 of the likeliest all tokens of any vocabulary together weigh less than a rounding error. */
const MOST_UNITS = 40;

/** The least likely token kept: those with a larger logit are in, and of its equals those up to its id. */
export interface Nucleus {
  readonly logit: number;
  readonly id: number;
}

/** The likeliest tokens whose probabilities in softmax(logits / temperature) reach `topP` < 1 (Holtzman 2020), as few as do. */
export function nucleusOf(logits: Float32Array, scan: LogitScan, temperature: number, topP: number): Nucleus {
  const { max, min, maxima, block } = scan;
  const units = Math.min(MOST_UNITS, (max - min) / temperature);
  const width = units > 0 ? units / (BINS - 1) : 1;
  const exponentials = powers(Math.exp(-width), BINS);
  // Finite, so that a distance of 0 stays 0 at any temperature.
  const scale = Math.min(1 / (temperature * width), Number.MAX_VALUE);
  const binsBelow = (logit: number): number => (max - logit) * scale;
  const masses = new Float64Array(BINS);
  for (let i = 0; i < logits.length; i++) {
    const below = binsBelow(logits[i] as number);
    if (!(below < BINS)) continue;
    const bin = below | 0;
    masses[bin]! += (exponentials[bin] as number) * expBelow((below - bin) * width);
  }
  const target = topP * masses.reduce((sum, mass) => sum + mass, 0);
  let [bin, reached] = [0, 0];
  while (bin < BINS && reached + (masses[bin] as number) < target) reached += masses[bin++] as number;
  const ids: number[] = [];
  for (let b = 0; b < maxima.length; b++) {
    if (binsBelow(maxima[b] as number) >= bin + 1) continue;
    for (let i = b * block; i < Math.min((b + 1) * block, logits.length); i++) {
      const below = binsBelow(logits[i] as number);
      if (below < BINS && (below | 0) === bin) ids.push(i);
    }
  }
  // A share so near to 1 that rounding does not reach it keeps all.
  if (ids.length === 0) return { logit: -Infinity, id: logits.length };
  const sorted = Float32Array.from(ids, (id) => logits[id] as number)
    .sort()
    .reverse();
  let kept = 0;
  while (kept < sorted.length && (kept === 0 || reached < target)) {
    reached += Math.exp(((sorted[kept++] as number) - max) / temperature);
  }
  const logit = sorted[kept - 1] as number;
  const equals = ids.filter((id) => logits[id] === logit);
  return { logit, id: equals[kept - 1 - sorted.indexOf(logit)] as number };
}

/** 1, x, x², … to 1e-12. */
function powers(x: number, count: number): Float64Array {
  const out = new Float64Array(count).fill(1);
  for (let i = 1; i < count; i++) out[i] = (out[i - 1] as number) * x;
  return out;
}

const [SIXTH, TWENTY_FOURTH] = [1 / 6, 1 / 24];

/** e^−x for 0 ≤ x < 0.01, to 1e-12. */
function expBelow(x: number): number {
  const square = x * x;
  return 1 - x + square * (0.5 - x * SIXTH + square * TWENTY_FOURTH);
}
