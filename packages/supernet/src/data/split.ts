// Seeded splits of a dataset of independent examples.
import { integerOption } from '../counts.ts';
import { SupernetError } from '../errors.ts';
import { SeededRandom, deriveSeed, shuffledIndices } from '../random.ts';
import { subset } from './dataset.ts';
import type { Dataset } from './dataset.ts';

/** Three datasets that share no example. */
export interface DatasetSplits {
  readonly train: Dataset;
  /** What a search may look at. */
  readonly validation: Dataset;
  /** What is reported at the end, and nothing else looks at; empty unless a share is given (most tasks bring their own test set). */
  readonly report: Dataset;
}

/** Options of {@link splitDataset}: shares (< 1) or numbers of examples (≥ 1). */
export interface SplitOptions {
  /** @defaultValue 0.1 */
  readonly validation?: number | undefined;
  /** @defaultValue 0 */
  readonly report?: number | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
}

/** Deals the examples out at random. @throws SupernetError `invalid-option`, also when nothing would be left to train on */
export function splitDataset(dataset: Dataset, options: SplitOptions = {}): DatasetSplits {
  const { validation = 0.1, report = 0, seed = 0 } = options;
  integerOption('seed', seed);
  const size = (share: number) => (share < 1 ? Math.round(share * dataset.length) : Math.round(share));
  const [a, b] = [size(validation), size(report)];
  if (!(a >= 0 && b >= 0 && a + b < dataset.length)) {
    throw new SupernetError(
      'invalid-option',
      `validation ${validation} and report ${report} leave nothing of ${dataset.length} examples to train on`,
      { validation, report, examples: dataset.length },
    );
  }
  const order = shuffledIndices(dataset.length, new SeededRandom(deriveSeed(seed, 5)));
  const take = (from: number, to: number) => subset(dataset, order.slice(from, to).sort());
  return { validation: take(0, a), report: take(a, a + b), train: take(a + b, dataset.length) };
}
