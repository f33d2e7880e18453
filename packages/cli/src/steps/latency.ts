// Latencies that can be compared over a long search: every candidate is timed in turns with the full network.
import { fullSubnet, measureLatencies, type ElasticModel, type SubnetConfig } from '@instatune/supernet';

/** Timed passes of each network. */
const REPEATS = 9;

/** Times sub-networks against the full network on the current tfjs backend. */
export class RelativeLatency {
  readonly #model: ElasticModel;
  readonly #tokens: number | undefined;
  /** Milliseconds of the full network, once: the unit of everything after it. */
  #full: number | undefined;

  /** @param full what an earlier run of the same search found. @defaultValue measured with the first candidate */
  constructor(model: ElasticModel, tokens: number | undefined, full?: number) {
    this.#model = model;
    this.#tokens = tokens;
    this.#full = full;
  }

  /** Milliseconds of the full network, once something was timed. */
  get full(): number | undefined {
    return this.#full;
  }

  /** Milliseconds of one forward pass: the full network's first latency times what this one took of it just now. */
  async of(subnet: SubnetConfig, signal?: AbortSignal, repeats = REPEATS): Promise<number> {
    const [full, own] = await measureLatencies(this.#model, [fullSubnet(this.#model.space), subnet], {
      ...(this.#tokens !== undefined && { sequence: this.#tokens }),
      repeats,
      signal,
    });
    this.#full ??= full!.medianMs;
    return (this.#full * own!.medianMs) / full!.medianMs;
  }
}
