// Choosing the next token from logits [V]: greedy, or a seeded draw, without sorting the vocabulary.
import { CheckpointError } from '../errors.ts';
import { checkCandidates, type Candidates } from './candidates.ts';
import { nucleusOf } from './nucleus.ts';
import { lowestValue, scanLogits, topTokens } from './logit-scan.ts';
import type { LogitScan } from './logit-scan.ts';
import { seededRandom } from './random.ts';

/** How {@link createSampler} chooses. Filters apply in the order k, p, minimum, as in transformers. */
export interface SamplingOptions {
  /** 0 is greedy. @defaultValue 0 */
  readonly temperature?: number | undefined;
  /** Draw among the k likeliest tokens; 0 = all. @defaultValue 0 */
  readonly topK?: number | undefined;
  /** Draw among the likeliest tokens that reach this probability. @defaultValue 1 */
  readonly topP?: number | undefined;
  /** Draw among tokens with at least this share of the likeliest one's probability. @defaultValue 0 */
  readonly minP?: number | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
  /** Whether a logit of −∞ is a token that must not be chosen, rather than an error. @defaultValue false */
  readonly masked?: boolean | undefined;
}

/**
 * Takes logits [V] and gives a token id.
 *
 * @throws CheckpointError `non-finite` where a logit is no finite number, `invalid-input` where there is none, or all are masked
 */
export interface Sampler {
  (logits: Float32Array): number;
  /**
   * Chooses among the likeliest tokens alone.
   *
   * @returns undefined, without a random number taken, where others could be chosen or matter: with neither k, p nor a minimum, or where
   * p or the minimum reach beyond them
   * @throws CheckpointError `non-finite`
   */
  readonly among: (candidates: Candidates) => number | undefined;
}

/** Tokens whose largest logit is found together: drawing from all needs one exponential for each block. */
const BLOCK = 256;

/**
 * A choice of tokens; each draw takes its random numbers from the seed on. Greedy and temperature look at every logit once; top-k
 * selects; none sorts the vocabulary.
 *
 * @throws CheckpointError `invalid-option`
 *
 * @example
 * ```ts
 * import { createSampler } from '@hip/checkpoints/generation';
 *
 * const greedy = createSampler();
 * console.log(greedy(Float32Array.of(0.1, 2, 1))); // => 1
 * const choose = createSampler({ temperature: 0.8, topK: 2, seed: 1 });
 * choose(Float32Array.of(0.1, 2, 1)); // 1 or 2
 * ```
 */
export function createSampler(options: SamplingOptions = {}): Sampler {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0, masked = false } = options;
  integerOption('topK', topK, 0);
  integerOption('seed', seed);
  if (!(temperature >= 0) || !Number.isFinite(temperature)) {
    throw new CheckpointError('invalid-option', `temperature = ${temperature}: expected a number ≥ 0`, { temperature });
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new CheckpointError('invalid-option', `topP = ${topP}: expected 0 < topP ≤ 1`, { topP });
  }
  if (!(minP >= 0 && minP <= 1)) {
    throw new CheckpointError('invalid-option', `minP = ${minP}: expected 0 ≤ minP ≤ 1`, { minP });
  }
  const random = seededRandom(seed);
  const choose = (logits: Float32Array): number => {
    if (logits.length === 0) throw new CheckpointError('invalid-input', 'no logits to choose from');
    const block = topK > 0 ? Math.floor(logits.length / (4 * topK)) : BLOCK;
    const scan = scanLogits(logits, Math.max(1, Math.min(BLOCK, block)), masked);
    if (temperature === 0) return logits.indexOf(scan.max, scan.at);
    const floor = lowestValue(scan.max, minP, temperature);
    if (topK > 0 && topK < logits.length) {
      const ids = topTokens(logits, topK, scan);
      const sorted = ids.map((id) => logits[id] as number);
      return ids[drawSorted(sorted, { temperature, topP, floor }, random())] as number;
    }
    const nucleus = topP < 1 ? nucleusOf(logits, scan, temperature, topP) : undefined;
    if (!nucleus) return drawAll(logits, scan, temperature, random, floor, (id) => (logits[id] as number) >= floor);
    const isIn = (id: number): boolean => {
      const logit = logits[id] as number;
      return logit >= floor && (logit > nucleus.logit || (logit === nucleus.logit && id <= nucleus.id));
    };
    return drawAll(logits, scan, temperature, random, Math.max(floor, nucleus.logit), isIn);
  };
  const among = (candidates: Candidates): number | undefined => {
    const { ids, logits } = candidates;
    checkCandidates(candidates, masked);
    if (temperature === 0) return ids[0];
    const floor = lowestValue(logits[0] as number, minP, temperature);
    const count = deciding(candidates, { temperature, topK, topP, floor });
    if (count === undefined) return undefined;
    // Shares of k tokens, and of all, are theirs among each other; else `count` are those that reach p of all.
    const share = topK > 0 || ids.length === candidates.of ? topP : 1;
    const sorted = Array.from(logits.subarray(0, count));
    return ids[drawSorted(sorted, { temperature, topP: share, floor }, random())];
  };
  return Object.assign(choose, { among });
}

/** How many of the candidates are drawn from; undefined where they do not decide it. */
function deciding(
  { ids, logits, of, scaledLogSumExp }: Candidates,
  { temperature, topK, topP, floor }: Readonly<Record<'temperature' | 'topK' | 'topP' | 'floor', number>>,
): number | undefined {
  if (topK > 0 && topK < of) return topK <= ids.length ? topK : undefined;
  if (ids.length === of) return of;
  if (topP < 1) {
    let reached = 0;
    for (let i = 0; i < logits.length; i++) {
      reached += Math.exp((logits[i] as number) / temperature - scaledLogSumExp);
      if (reached >= topP) return i + 1;
    }
    return undefined;
  }
  // Those below the floor are not drawn, and all others are among them.
  return (logits.at(-1) as number) < floor ? logits.length : undefined;
}

/**
 * One draw from softmax(logits / temperature) of the tokens that are `isIn`, by rejection: every block weighs as if all of its tokens
 * had its largest logit, a token of it is proposed uniformly, and taken with the ratio of its weight to that. A block with tokens in
 * has one that weighs all, so some 256 proposals are expected at most, whatever the distribution.
 *
 * @param floor no token below is in
 */
function drawAll(
  logits: Float32Array,
  { maxima, max, block }: LogitScan,
  temperature: number,
  random: () => number,
  floor: number,
  isIn: (id: number) => boolean,
): number {
  const bounds = new Float64Array(maxima.length);
  let total = 0;
  for (let b = 0; b < maxima.length; b++) {
    const top = maxima[b] as number;
    const size = Math.min(block, logits.length - b * block);
    if (top >= floor) total += size * Math.exp((top - max) / temperature);
    bounds[b] = total;
  }
  for (;;) {
    const b = firstAbove(bounds, random() * total);
    const size = Math.min(block, logits.length - b * block);
    const id = b * block + Math.floor(random() * size);
    const share = Math.exp(((logits[id] as number) - (maxima[b] as number)) / temperature);
    if (random() < share && isIn(id)) return id;
  }
}

/** Index of the first bound above a value; bounds do not fall. */
function firstAbove(bounds: Float64Array, value: number): number {
  let [low, high] = [0, bounds.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bounds[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** One draw among a few logits, likeliest first; `uniform` in [0, 1). @returns its index */
function drawSorted(
  logits: readonly number[],
  { temperature, topP, floor }: { readonly temperature: number; readonly topP: number; readonly floor: number },
  uniform: number,
): number {
  const max = logits[0] as number;
  const weights = logits.map((logit) => Math.exp((logit - max) / temperature));
  const target = topP * weights.reduce((sum, weight) => sum + weight, 0);
  let [kept, mass, reached] = [0, 0, 0];
  for (; kept < logits.length && reached < target && (logits[kept] as number) >= floor; kept++) {
    // Masked, or too unlikely to tell from it.
    if (weights[kept] === 0) break;
    reached += weights[kept] as number;
    mass = reached;
  }
  let draw = uniform * mass;
  for (let i = 0; i < kept; i++) {
    draw -= weights[i] as number;
    if (draw < 0) return i;
  }
  return Math.max(0, kept - 1);
}

/** @throws CheckpointError `invalid-option` naming the option and its value */
function integerOption(name: string, value: number, least = -Infinity): void {
  if (Number.isInteger(value) && value >= least) return;
  const message = `${name} = ${value}: expected an integer${least === -Infinity ? '' : ` ≥ ${least}`}`;
  throw new CheckpointError('invalid-option', message, { name, value, [name]: value });
}
