// Endless seeded batches of a dataset, whose position is one small JSON value: a resumed run reads on exactly where it stopped.
import { integerOption } from '../counts.ts';
import { SupernetError } from '../errors.ts';
import { SeededRandom, deriveSeed, shuffleInPlace, shuffledIndices } from '../random.ts';
import type { Dataset, HostBatch } from './dataset.ts';

/** Position of a {@link BatchLoader}, as JSON. */
export interface LoaderState {
  readonly epoch: number;
  /** Batches (streams: examples) of this epoch already handed out. */
  readonly position: number;
  /** Batches of this epoch, where that is known: other data gives itself away by another number. */
  readonly batches?: number | undefined;
}

/** A source of training batches. */
export interface BatchLoader {
  /** Batches per epoch, where that is known. */
  readonly batchesPerEpoch: number | undefined;
  /** Full passes completed. */
  readonly epoch: number;
  next(): Promise<HostBatch>;
  state(): LoaderState;
  restore(state: LoaderState): Promise<void>;
}

/** Options of {@link createLoader}. */
export interface LoaderOptions {
  /** Examples per batch, or a token budget: as many examples of like length as fit into it when padded. @defaultValue 8 */
  readonly batchSize?: number | { readonly tokens: number } | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
  /** New seeded order every epoch. @defaultValue true */
  readonly shuffle?: boolean | undefined;
  /** Leave out a last batch that is not full. @defaultValue true when shuffling */
  readonly dropLast?: boolean | undefined;
  /** Put examples of like length together (needs `dataset.tokens`). @defaultValue true where the dataset tells lengths */
  readonly bucket?: boolean | undefined;
}

/** Batches whose examples are sorted together by length: large enough for little padding, small enough to stay random. */
const BUCKET_BATCHES = 32;

/**
 * Batches of a dataset, epoch after epoch. The order of an epoch depends only on (seed, epoch).
 *
 * @throws SupernetError `invalid-option` for a batch size that is no positive integer or a seed that is none, `invalid-data` for an
 * empty dataset
 *
 * @example
 * ```ts
 * const loader = createLoader(data, { batchSize: 4, seed: 1 });
 * const { size } = await loader.next();
 * console.log(size); // => 4
 * ```
 */
export function createLoader(dataset: Dataset, options: LoaderOptions = {}): BatchLoader {
  const { batchSize = 8, seed = 0, shuffle = true } = options;
  integerOption('seed', seed);
  const budget = typeof batchSize === 'number' ? batchSize : batchSize.tokens;
  if (!Number.isInteger(budget) || budget < 1) {
    throw new SupernetError('invalid-option', `batchSize = ${budget}: expected a positive integer`, { batchSize });
  }
  const dropLast = (options.dropLast ?? shuffle) && dataset.length > budget;
  const bucket = (options.bucket ?? true) && dataset.tokens !== undefined && shuffle;
  const plan = (epoch: number): number[][] => {
    const random = new SeededRandom(deriveSeed(seed, 1, epoch));
    const order = shuffle
      ? shuffledIndices(dataset.length, random)
      : Uint32Array.from({ length: dataset.length }, (_, i) => i);
    const sorted = bucket
      ? sortWithinBuckets(order, dataset, averageBatch(dataset, batchSize) * BUCKET_BATCHES)
      : order;
    let batches = cut(sorted, dataset, batchSize);
    if (dropLast && typeof batchSize === 'number') batches = batches.filter((batch) => batch.length === batchSize);
    if (bucket) shuffleInPlace(batches, random);
    return batches;
  };
  let epoch = 0;
  let position = 0;
  let batches = plan(0);
  if (batches.length === 0) throw new SupernetError('invalid-data', 'the dataset is empty', { length: dataset.length });
  return {
    get batchesPerEpoch() {
      return batches.length;
    },
    get epoch() {
      return epoch;
    },
    async next() {
      if (position === batches.length) {
        epoch++;
        position = 0;
        batches = plan(epoch);
      }
      const context = { training: true, seed: deriveSeed(seed, 2, epoch, position) };
      return dataset.batch(batches[position++] as number[], context);
    },
    state: () => ({ epoch, position, batches: batches.length }),
    async restore(state) {
      batches = plan(state.epoch);
      if (state.batches !== undefined && state.batches !== batches.length) {
        throw new SupernetError(
          'invalid-checkpoint',
          `the data has ${batches.length} batches in epoch ${state.epoch}, it had ${state.batches} when the state was saved: resume with the same data, or delete the state`,
          { state, batches: batches.length },
        );
      }
      if (state.position > batches.length) {
        throw new SupernetError('invalid-checkpoint', `data position ${state.position} of ${batches.length}`, {
          state,
        });
      }
      ({ epoch, position } = state);
    },
  };
}

/** Batches in order, once: for evaluation. */
export async function* sequentialBatches(dataset: Dataset, batchSize: number): AsyncGenerator<HostBatch> {
  for (let start = 0; start < dataset.length; start += batchSize) {
    const count = Math.min(batchSize, dataset.length - start);
    yield await dataset.batch(Array.from({ length: count }, (_, i) => start + i));
  }
}

function averageBatch(dataset: Dataset, batchSize: number | { readonly tokens: number }): number {
  if (typeof batchSize === 'number') return batchSize;
  let tokens = 0;
  for (let i = 0; i < dataset.length; i++) tokens += dataset.tokens?.(i) ?? 1;
  return Math.max(1, Math.round((batchSize.tokens * dataset.length) / Math.max(1, tokens)));
}

function sortWithinBuckets(order: Uint32Array, dataset: Dataset, size: number): Uint32Array {
  const length = (index: number) => dataset.tokens?.(index) ?? 1;
  for (let start = 0; start < order.length; start += size) {
    order.subarray(start, start + size).sort((a, b) => length(a) - length(b) || a - b);
  }
  return order;
}

function cut(order: Uint32Array, dataset: Dataset, batchSize: number | { readonly tokens: number }): number[][] {
  const batches: number[][] = [];
  if (typeof batchSize === 'number') {
    for (let start = 0; start < order.length; start += batchSize) {
      batches.push([...order.subarray(start, start + batchSize)]);
    }
    return batches;
  }
  let batch: number[] = [];
  let longest = 0;
  for (const index of order) {
    const tokens = dataset.tokens?.(index) ?? 1;
    if (batch.length > 0 && Math.max(longest, tokens) * (batch.length + 1) > batchSize.tokens) {
      batches.push(batch);
      batch = [];
      longest = 0;
    }
    batch.push(index);
    longest = Math.max(longest, tokens);
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
