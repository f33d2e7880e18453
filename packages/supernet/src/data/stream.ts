// Training on data that does not fit in memory: a stream of examples, shuffled through a seeded buffer, resumed by reading ahead.
import { integerOption, positiveInteger } from '../counts.ts';
import { SupernetError } from '../errors.ts';
import { SeededRandom, deriveSeed } from '../random.ts';
import type { TextTokenizer } from '@hip/checkpoints';
import type { HostBatch } from './dataset.ts';
import type { BatchLoader } from './loader.ts';

/** Options of {@link streamLoader}. */
export interface StreamLoaderOptions<Example> {
  /** Starts the stream of an epoch from its beginning; the same epoch must give the same examples. */
  readonly open: (epoch: number) => AsyncIterable<Example> | Iterable<Example>;
  /** Makes a batch of examples. */
  readonly collate: (examples: readonly Example[], seed: number) => HostBatch | Promise<HostBatch>;
  /** @defaultValue 8 */
  readonly batchSize?: number | undefined;
  /** Examples held to be drawn from; 1 keeps the stream's order. @defaultValue 1024 */
  readonly shuffleBuffer?: number | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
}

/**
 * Batches of a stream, epoch after epoch. Resuming reads the epoch's examples again up to the stored position: exact, and linear in
 * the position.
 *
 * @throws SupernetError `invalid-data` when the stream has no example, `invalid-option`
 */
export function streamLoader<Example>(options: StreamLoaderOptions<Example>): BatchLoader {
  const { batchSize = 8, shuffleBuffer = 1024, seed = 0 } = options;
  positiveInteger('batchSize', batchSize);
  positiveInteger('shuffleBuffer', shuffleBuffer);
  integerOption('seed', seed);
  let epoch = 0;
  let position = 0;
  let examples = shuffled(options.open(0), shuffleBuffer, deriveSeed(seed, 6, 0));
  const restart = (at: number): void => {
    epoch = at;
    position = 0;
    examples = shuffled(options.open(at), shuffleBuffer, deriveSeed(seed, 6, at));
  };
  return {
    batchesPerEpoch: undefined,
    get epoch() {
      return epoch;
    },
    async next() {
      const batch: Example[] = [];
      const first = { epoch, position };
      while (batch.length < batchSize) {
        const { done, value } = await examples.next();
        if (!done) {
          batch.push(value);
          position++;
          continue;
        }
        if (position === 0)
          throw new SupernetError('invalid-data', `the stream of epoch ${epoch} has no example`, { epoch });
        restart(epoch + 1);
      }
      return options.collate(batch, deriveSeed(seed, 7, first.epoch, first.position));
    },
    state: () => ({ epoch, position }),
    async restore(state) {
      restart(state.epoch);
      for (; position < state.position; position++) {
        if ((await examples.next()).done) {
          throw new SupernetError(
            'invalid-checkpoint',
            `the stream ends before its stored position ${state.position}`,
            { state },
          );
        }
      }
    },
  };
}

/** Draws from a buffer that is refilled from the stream: seeded, constant memory. */
async function* shuffled<Example>(
  source: AsyncIterable<Example> | Iterable<Example>,
  size: number,
  seed: number,
): AsyncGenerator<Example> {
  const random = new SeededRandom(seed);
  const buffer: Example[] = [];
  for await (const example of source) {
    if (buffer.length < size) {
      buffer.push(example);
      continue;
    }
    const slot = random.integer(size);
    yield buffer[slot] as Example;
    buffer[slot] = example;
  }
  while (buffer.length > 0) {
    const slot = random.integer(buffer.length);
    yield buffer[slot] as Example;
    buffer[slot] = buffer.at(-1) as Example;
    buffer.pop();
  }
}

/**
 * Next-token windows of a stream of texts (files, lines, …): length + 1 tokens each, the last one only a label.
 *
 * @throws SupernetError `invalid-option`
 */
export async function* streamWindows(
  texts: AsyncIterable<string> | Iterable<string>,
  tokenizer: TextTokenizer,
  options: { readonly length?: number | undefined; readonly separator?: number | undefined } = {},
): AsyncGenerator<Int32Array> {
  const { length = 128, separator } = options;
  positiveInteger('length', length);
  let held: number[] = [];
  for await (const text of texts) {
    for (const id of tokenizer.encode(text, { addSpecialTokens: false })) held.push(id);
    if (separator !== undefined) held.push(separator);
    let start = 0;
    for (; start + length + 1 <= held.length; start += length)
      yield Int32Array.from(held.slice(start, start + length + 1));
    held = held.slice(start);
  }
}

/** A batch of {@link streamWindows}. */
export function collateWindows(windows: readonly Int32Array[]): HostBatch {
  const length = (windows[0]?.length ?? 1) - 1;
  const data = new Int32Array(windows.length * length);
  const labels = new Int32Array(windows.length * length);
  for (const [row, window] of windows.entries()) {
    data.set(window.subarray(0, length), row * length);
    labels.set(window.subarray(1), row * length);
  }
  return { size: windows.length, inputIds: { shape: [windows.length, length], data }, labels };
}
