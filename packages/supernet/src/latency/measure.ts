// Latency of sub-networks on the device that runs: warm-up, interleaved repeats, median and spread.
import * as tf from '@tensorflow/tfjs';
import { integerOption } from '../counts.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { fullSubnet, subnetKey } from '../elastic/subnets.ts';
import { validateSubnet } from '../elastic/validate.ts';
import { throwIfAborted } from '../errors.ts';
import { extractModel } from '../export/values.ts';
import { textConfig } from '../model/positions.ts';
import type { AttentionFunction, ElasticModel, ForwardOptions, ModelInputs } from '../model/types.ts';

/** Options of {@link measureLatency} and {@link measureLatencies}. */
export interface LatencyOptions {
  /** Sequences or images at once. @defaultValue 1 */
  readonly batch?: number | undefined;
  /** Tokens of a sequence; image models know theirs. @defaultValue 128, or the model's limit if that is less */
  readonly sequence?: number | undefined;
  /** Passes before the first timed one, per network. @defaultValue 2 */
  readonly warmup?: number | undefined;
  /** Timed passes per network. @defaultValue 9 */
  readonly repeats?: number | undefined;
  /** Positions of a language model that get logits. @defaultValue 'last', as prefill does */
  readonly logits?: 'all' | 'last' | 'none' | undefined;
  /**
   * `extracted`: as the standalone model that would be deployed; `sliced`: weights cut in every pass, as during training.
   * @defaultValue 'extracted'
   */
  readonly mode?: 'extracted' | 'sliced' | undefined;
  readonly attention?: AttentionFunction | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly passes: number; readonly total: number }) => void) | undefined;
}

/** A measured latency. */
export interface Latency {
  /** Median of the repeats, milliseconds per forward pass of the whole batch. */
  readonly medianMs: number;
  /** Quartiles and fastest pass, milliseconds: how far the median is to be trusted. */
  readonly lowerMs: number;
  readonly upperMs: number;
  readonly minMs: number;
  readonly repeats: number;
}

/**
 * Times the forward pass of one sub-network.
 *
 * @throws SupernetError `invalid-option`, `invalid-subnet`, `aborted`
 *
 * @example
 * ```ts
 * const { medianMs } = await measureLatency(model, smallestSubnet(model.space), { sequence: 256 });
 * ```
 */
export async function measureLatency(
  model: ElasticModel,
  subnet: SubnetConfig = fullSubnet(model.space),
  options: LatencyOptions = {},
): Promise<Latency> {
  const [latency] = await measureLatencies(model, [subnet], options);
  return latency as Latency;
}

/**
 * Times several sub-networks in turn (a b c a b c …), so that a machine that slows down slows all of them. Copies of the sub-networks'
 * weights are held meanwhile (`mode: 'extracted'`).
 *
 * @returns one latency per sub-network, in order
 * @throws SupernetError `invalid-option`, `invalid-subnet`, `aborted`
 *
 * @example
 * ```ts
 * const subnets = [fullSubnet(model.space), smallestSubnet(model.space)];
 * const [full, small] = await measureLatencies(model, subnets, { sequence: 64, repeats: 5 });
 * console.log(`${full.medianMs} ms, the smallest ${small.medianMs} ms`);
 * ```
 */
export async function measureLatencies(
  model: ElasticModel,
  subnets: readonly SubnetConfig[],
  options: LatencyOptions = {},
): Promise<Latency[]> {
  const { warmup = 2, repeats = 9, mode = 'extracted', signal } = options;
  const { batch, sequence } = latencyShape(model, options);
  integerOption('warmup', warmup, 0);
  integerOption('repeats', repeats, 1);
  for (const subnet of subnets) validateSubnet(model.space, subnet);
  const inputs = probeInputs(model, batch, sequence);
  const networks: { readonly run: () => Promise<void>; readonly dispose: () => void }[] = [];
  try {
    for (const subnet of subnets) {
      throwIfAborted(signal, 'measuring latency');
      networks.push(await network(model, subnet, inputs, { ...options, mode }));
    }
    const times: number[][] = subnets.map(() => []);
    const total = (warmup + repeats) * subnets.length;
    let passes = 0;
    for (let round = -warmup; round < repeats; round++) {
      for (const [index, { run }] of networks.entries()) {
        throwIfAborted(signal, 'measuring latency');
        const start = performance.now();
        await run();
        if (round >= 0) times[index]?.push(performance.now() - start);
        options.onProgress?.({ passes: ++passes, total });
      }
      // Outside the timed part: timers and abort signals get a turn.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return times.map(summarize);
  } finally {
    for (const { dispose } of networks) dispose();
    tf.dispose(Object.values(inputs) as tf.Tensor[]);
  }
}

/** Batch and sequence length that a measurement will use. @throws SupernetError `invalid-option` */
export function latencyShape(model: ElasticModel, options: LatencyOptions): { batch: number; sequence: number } {
  const { config } = model;
  const { positionRows, positionOffset } = textConfig(config);
  const limit = positionRows > 0 ? positionRows - positionOffset : config.maxPositions;
  const batch = options.batch ?? 1;
  const sequence =
    config.patches && !config.multiway ? config.maxPositions : (options.sequence ?? Math.min(128, limit));
  integerOption('batch', batch, 1);
  integerOption('sequence', sequence, 1);
  return { batch, sequence };
}

/** Median, quartiles and minimum of some times. */
export function summarize(times: readonly number[]): Latency {
  const sorted = [...times].sort((a, b) => a - b);
  const quantile = (share: number): number => {
    const position = share * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(position)] as number, sorted[Math.ceil(position)] as number];
    return low + (high - low) * (position - Math.floor(position));
  };
  return {
    medianMs: quantile(0.5),
    lowerMs: quantile(0.25),
    upperMs: quantile(0.75),
    minMs: sorted[0] as number,
    repeats: sorted.length,
  };
}

async function network(
  model: ElasticModel,
  subnet: SubnetConfig,
  inputs: ModelInputs,
  options: LatencyOptions & { readonly mode: 'extracted' | 'sliced' },
): Promise<{ run: () => Promise<void>; dispose: () => void }> {
  const { mode, attention, logits = 'last' } = options;
  // The full network needs no copy: it is its own extraction.
  const isFull = subnetKey(subnet) === subnetKey(fullSubnet(model.space));
  const extracted = mode === 'extracted' && !isFull ? await extractModel(model, subnet) : undefined;
  const forward: ForwardOptions = {
    logits,
    ...(attention && { attention }),
    ...(mode === 'sliced' && { subnet }),
  };
  return {
    run: async () => {
      const output = tf.tidy(() => (extracted ?? model).forward(inputs, forward).logits);
      try {
        // Reading makes a GPU finish; logits of one position are small.
        await output.data();
      } finally {
        output.dispose();
      }
    },
    dispose: () => extracted?.dispose(),
  };
}

/** Inputs of the right shape; their values do not matter to dense arithmetic. */
export function probeInputs(model: ElasticModel, batch: number, sequence: number): ModelInputs {
  const { config } = model;
  if (config.patches) {
    const [height, width] = config.patches.imageSize;
    const size = batch * config.patches.channels * height * width;
    const pixels = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
    const pixelValues = tf.tensor4d(pixels, [batch, config.patches.channels, height, width]);
    return config.multiway ? { pixelValues, inputIds: probeIds(config.vocabSize, batch, sequence) } : { pixelValues };
  }
  return { inputIds: probeIds(config.vocabSize, batch, sequence) };
}

function probeIds(vocabSize: number, batch: number, sequence: number): tf.Tensor2D {
  // Id 0 is the padding of some tokenizers.
  const ids = Int32Array.from({ length: batch * sequence }, (_, i) => 1 + ((i * 31) % Math.max(1, vocabSize - 1)));
  return tf.tensor2d(ids, [batch, sequence], 'int32');
}
