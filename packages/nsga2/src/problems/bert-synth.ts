// BERT-synth: the elastic space of BERT-base with a synthetic accuracy, small enough to know its exact Pareto front.
import { paretoFront } from '../sorting/dominance.ts';
import { integer, repeat } from '../variables.ts';
import type { TestProblem } from './test-problem.ts';

const LAYERS = 12;
const LEAST_LAYERS = 6;
const HEADS = [6, 8, 10, 12] as const;
const WIDTHS = [1024, 2048, 3072] as const;
const TOKENS = 128;
const HIDDEN = 768;
const HEAD_SIZE = 64;
/** Pooler and a classifier of two classes. */
const FIXED_MACS = HIDDEN * HIDDEN + 2 * HIDDEN;
const MACS_PER_HEAD = HEAD_SIZE * (4 * TOKENS * HIDDEN + 2 * TOKENS * TOKENS);
const MACS_PER_UNIT = 2 * TOKENS * HIDDEN;
/** Importance of each layer. */
const WEIGHTS = Array.from({ length: LAYERS }, (_, l) => 1 + 0.5 * Math.sin(1.7 * l));
const TOTAL_WEIGHT = WEIGHTS.reduce((a, b) => a + b);
const HEAD_VALUE = HEADS.map((h) => 0.4 * Math.sqrt(h / 12));
const WIDTH_VALUE = WIDTHS.map((f) => 0.6 * (f / 3072) ** 0.7);

/** A point of the exact front with a candidate that attains it. */
export interface BertSynthOptimum {
  /** 25 genes in canonical form. */
  readonly genes: readonly number[];
  /** Giga-MACs, and minus the synthetic accuracy in percent. */
  readonly objectives: readonly [number, number];
}

/** {@link bertSynth} and what is known about it. */
export interface BertSynth extends TestProblem {
  evaluate(genes: readonly number[]): readonly [number, number];
  /** Sets the genes of unused layers to 0. */
  canonical(genes: Float64Array): void;
  /** The exact front: 321 points, ascending in MACs, each with a candidate. */
  exactFront(): BertSynthOptimum[];
  /** Reference point for hypervolumes: (12, −60). */
  readonly reference: readonly [number, number];
}

/** Accuracy in percent, negated, from the weighted capacity s of the used layers. */
const loss = (s: number): number => (-93 * (1 - Math.exp(-4 * s))) / (1 - Math.exp(-4));

/**
 * BERT-synth: gene 0 chooses 6 … 12 layers, genes 1–12 the heads (6, 8, 10, 12) and genes 13–24 the feed-forward widths
 * (1024, 2048, 3072) of the layers. Objectives: MACs of BERT-base at 128 tokens in units of 10⁹, and a synthetic accuracy
 * that saturates with the weighted capacity of the used layers.
 *
 * @param options `canonical: false` leaves out the canonical form, to see what it is worth
 *
 * @example
 * ```ts
 * import { bertSynth, hypervolume } from '@instatune/nsga2';
 *
 * const problem = bertSynth();
 * const front = problem.exactFront(); // 321 optima
 * console.log(hypervolume(front.map(({ objectives }) => objectives), problem.reference).toFixed(6)); // => 273.214386
 * ```
 */
export function bertSynth(options: { readonly canonical?: boolean } = {}): BertSynth {
  const problem: BertSynth = {
    name: 'BERT-synth',
    variables: [
      integer(0, LAYERS - LEAST_LAYERS, 'layers'),
      ...repeat(integer(0, 3), LAYERS),
      ...repeat(integer(0, 2), LAYERS),
    ],
    objectives: 2,
    reference: [12, -60],
    evaluate(genes) {
      const layers = LEAST_LAYERS + genes[0]!;
      let macs = FIXED_MACS;
      let capacity = 0;
      for (let l = 0; l < layers; l++) {
        const h = genes[1 + l]!;
        const f = genes[1 + LAYERS + l]!;
        macs += MACS_PER_HEAD * HEADS[h]! + MACS_PER_UNIT * WIDTHS[f]!;
        capacity += WEIGHTS[l]! * (HEAD_VALUE[h]! + WIDTH_VALUE[f]!);
      }
      return [macs / 1e9, loss(capacity / TOTAL_WEIGHT)];
    },
    canonical(genes) {
      for (let l = LEAST_LAYERS + genes[0]!; l < LAYERS; l++) {
        genes[1 + l] = 0;
        genes[1 + LAYERS + l] = 0;
      }
    },
    exactFront: () => exactFront(problem),
    front: () => exactFront(problem).map(({ objectives }) => [...objectives]),
  };
  if (options.canonical !== false) return problem;
  const without: Partial<Pick<BertSynth, 'canonical'>> = problem;
  delete without.canonical;
  return problem;
}

/**
 * MACs depend only on the number of layers and on the sums of the head genes and of the width genes, and capacity is a
 * sum over both: for each number of layers the best capacity at each sum is a small knapsack, solved exactly.
 */
function exactFront(problem: BertSynth): BertSynthOptimum[] {
  const heads = knapsack(HEAD_VALUE);
  const widths = knapsack(WIDTH_VALUE);
  const candidates: number[][] = [];
  for (let layers = LEAST_LAYERS; layers <= LAYERS; layers++) {
    for (const h of heads[layers]!) {
      for (const f of widths[layers]!) {
        const unused = Array.from({ length: LAYERS - layers }, () => 0);
        candidates.push([layers - LEAST_LAYERS, ...h, ...unused, ...f, ...unused]);
      }
    }
  }
  const points = candidates.map((genes) => problem.evaluate(genes));
  // Of candidates with the same objectives, one is enough.
  const seen = new Set<string>();
  return paretoFront(points)
    .map((i) => ({ genes: candidates[i]!, objectives: points[i]! }))
    .filter(({ objectives }) => !seen.has(objectives.join()) && seen.add(objectives.join()))
    .sort((a, b) => a.objectives[0] - b.objectives[0]);
}

/** best[layers][sum]: the choices for the first layers that have this sum and the greatest weighted value. */
function knapsack(values: readonly number[]): number[][][] {
  const best: { value: number; choices: number[] }[][] = [[{ value: 0, choices: [] }]];
  for (let l = 0; l < LAYERS; l++) {
    const next: { value: number; choices: number[] }[] = [];
    best[l]!.forEach(({ value, choices }, sum) => {
      values.forEach((gain, choice) => {
        const total = value + WEIGHTS[l]! * gain;
        const known = next[sum + choice];
        if (!known || total > known.value) next[sum + choice] = { value: total, choices: [...choices, choice] };
      });
    });
    best.push(next);
  }
  return best.map((sums) => sums.map(({ choices }) => choices));
}
