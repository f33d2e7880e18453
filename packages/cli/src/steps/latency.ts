// Latencies that can be compared over a long search: every candidate is timed in turns with the full network, on what it will run on.
import {
  fullSubnet,
  measureLatencies,
  measureOn,
  subnetKey,
  type ElasticModel,
  type LatencyRunner,
  type PreparedNetwork,
  type SubnetConfig,
} from '@instatune/supernet';

/** Timed passes of each network. */
const REPEATS = 9;

/** How {@link RelativeLatency} times. */
export interface RelativeLatencyOptions {
  /** Tokens of a sequence. @defaultValue 128, or the model's limit; images know theirs */
  readonly tokens?: number | undefined;
  /** Milliseconds of the full network that an earlier run of the same search found. @defaultValue measured with the first candidate */
  readonly full?: number | undefined;
  /** @defaultValue tfjs on the current backend */
  readonly runner?: LatencyRunner | undefined;
}

/** Times sub-networks against the full network. On a runner the full network stays prepared until this is disposed. */
export class RelativeLatency implements AsyncDisposable {
  readonly #model: ElasticModel;
  readonly #tokens: number | undefined;
  readonly #runner: LatencyRunner | undefined;
  /** Milliseconds of the full network, once: the unit of everything after it. */
  #full: number | undefined;
  #prepared: PreparedNetwork | undefined;

  constructor(model: ElasticModel, { tokens, full, runner }: RelativeLatencyOptions = {}) {
    this.#model = model;
    this.#tokens = tokens;
    this.#full = full;
    this.#runner = runner && this.#keepingFull(runner);
  }

  /** Milliseconds of the full network, once something was timed. */
  get full(): number | undefined {
    return this.#full;
  }

  /** Milliseconds of one forward pass: the full network's first latency times what this one took of it just now. */
  async of(subnet: SubnetConfig, signal?: AbortSignal, repeats = REPEATS): Promise<number> {
    const both = [fullSubnet(this.#model.space), subnet];
    const options = { ...(this.#tokens !== undefined && { sequence: this.#tokens }), repeats, signal };
    const [full, own] = await (this.#runner
      ? measureOn(this.#runner, this.#model, both, options)
      : measureLatencies(this.#model, both, options));
    this.#full ??= full!.medianMs;
    return (this.#full * own!.medianMs) / full!.medianMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#prepared?.dispose();
    this.#prepared = undefined;
  }

  /** A runner that makes the full network ready once: exporting it takes longer than timing it. */
  #keepingFull(runner: LatencyRunner): LatencyRunner {
    const full = subnetKey(fullSubnet(this.#model.space));
    return {
      name: runner.name,
      prepare: async (model, subnet, shape) => {
        if (subnetKey(subnet) !== full) return runner.prepare(model, subnet, shape);
        const prepared = (this.#prepared ??= await runner.prepare(model, subnet, shape));
        return { run: () => prepared.run(), dispose: () => {} };
      },
    };
  }
}
