// Latency where a sub-network will run: a runtime that makes networks ready, and what times them in turn.
import { integerOption } from '../counts.ts';
import { fullSubnet } from '../elastic/subnets.ts';
import { validateSubnet } from '../elastic/validate.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { throwIfAborted } from '../errors.ts';
import type { ElasticModel } from '../model/types.ts';
import { latencyShape, summarize } from './measure.ts';
import type { Latency, LatencyOptions } from './measure.ts';

/** A sub-network made ready on some runtime. */
export interface PreparedNetwork {
  /** One pass over the whole batch, finished when it resolves. Milliseconds of it, where the runtime's own clock is elsewhere (a page). */
  run(): Promise<number | void>;
  dispose(): void | Promise<void>;
}

/** Where sub-networks are timed: what is optimised is what will run. */
export interface LatencyRunner {
  /** For tables and reports, e.g. `onnxruntime-node q8`. */
  readonly name: string;
  prepare(
    model: ElasticModel,
    subnet: SubnetConfig,
    shape: { readonly batch: number; readonly sequence: number },
  ): Promise<PreparedNetwork>;
}

/** Options of {@link measureOn}. */
export type RunnerOptions = Pick<LatencyOptions, 'batch' | 'sequence' | 'warmup' | 'repeats' | 'signal' | 'onProgress'>;

/**
 * Times several sub-networks in turn on a runtime, as `measureLatencies` does on tfjs.
 *
 * @returns one latency per sub-network, in order
 * @throws SupernetError `invalid-option`, `invalid-subnet`, `aborted`, and what the runtime throws
 *
 * @example
 * ```ts
 * import * as ort from 'onnxruntime-node';
 * import { measureOn, onnxRunner, smallestSubnet } from '@instatune/supernet';
 *
 * const [small] = await measureOn(onnxRunner(ort, { dtype: 'q8' }), model, [smallestSubnet(model.space)], { sequence: 16, repeats: 3 });
 * console.log(small!.repeats); // => 3
 * ```
 */
export async function measureOn(
  runner: LatencyRunner,
  model: ElasticModel,
  subnets: readonly SubnetConfig[] = [fullSubnet(model.space)],
  options: RunnerOptions = {},
): Promise<Latency[]> {
  const { warmup = 2, repeats = 9, signal } = options;
  const shape = latencyShape(model, options);
  integerOption('warmup', warmup, 0);
  integerOption('repeats', repeats, 1);
  for (const subnet of subnets) validateSubnet(model.space, subnet);
  const networks: PreparedNetwork[] = [];
  try {
    for (const subnet of subnets) {
      throwIfAborted(signal, 'measuring latency');
      networks.push(await runner.prepare(model, subnet, shape));
    }
    const times: number[][] = subnets.map(() => []);
    const total = (warmup + repeats) * subnets.length;
    let passes = 0;
    for (let round = -warmup; round < repeats; round++) {
      for (const [index, network] of networks.entries()) {
        throwIfAborted(signal, 'measuring latency');
        const start = performance.now();
        const told = await network.run();
        const passed = performance.now() - start;
        if (round >= 0) times[index]?.push(told ?? passed);
        options.onProgress?.({ passes: ++passes, total });
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return times.map(summarize);
  } finally {
    for (const network of networks) await network.dispose();
  }
}
