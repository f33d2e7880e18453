// LINAS, NSGA-II and random search on one super-network at equal measurements; a sub-network is measured once, whoever asks.
import { hypervolume, integer } from '@instatune/nsga2';
import { runSearch, type SearchProblem, type TacticName } from '@instatune/search';
import {
  countMacs,
  evaluate,
  fullSubnet,
  geneCardinalities,
  genesToSubnet,
  subnetKey,
  subnetToGenes,
  usedGenes,
  type Dataset,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import type { Task } from './tasks.ts';

export interface SearchedPoint {
  readonly subnet: SubnetConfig;
  readonly macs: number;
  /** Accuracy or loss on the search split. */
  readonly value: number;
}

export interface TacticOutcome {
  readonly tactic: TacticName;
  readonly seed: number;
  readonly front: readonly SearchedPoint[];
  readonly seconds: number;
}

/** MACs of a sub-network for the task's number of tokens. */
export function macsOf({ tokens }: Task, { config }: ElasticModel, subnet: SubnetConfig): number {
  return countMacs(config, subnet, tokens === undefined ? {} : { tokens });
}

export class SubnetSearch {
  readonly #task: Task;
  readonly #model: ElasticModel;
  readonly #data: Dataset;
  readonly #known = new Map<string, number>();

  constructor(task: Task, model: ElasticModel, data: Dataset) {
    this.#task = task;
    this.#model = model;
    this.#data = data;
  }

  /** Sub-networks really run so far. */
  get measured(): number {
    return this.#known.size;
  }

  macs(subnet: SubnetConfig): number {
    return macsOf(this.#task, this.#model, subnet);
  }

  /** Accuracy or loss on the search split. */
  async value(subnet: SubnetConfig): Promise<number> {
    const key = subnetKey(subnet);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const result = await evaluate(this.#model, this.#data, { subnet, batchSize: this.#task.evaluationBatch });
    const value = result[this.#task.metric];
    this.#known.set(key, value);
    return value;
  }

  async run(tactic: TacticName, evaluations: number, seed: number, signal: AbortSignal): Promise<TacticOutcome> {
    const start = performance.now();
    const result = await runSearch(this.#problem(), {
      tactic,
      evaluations,
      population: Math.max(10, Math.round(evaluations / 5)),
      seed,
      signal,
    });
    const { metric } = this.#task;
    const front = result.front.map(({ genes, values }) => ({
      subnet: genesToSubnet(this.#model.space, [...genes]),
      macs: values['macs']! * 1e9,
      value: values[metric]!,
    }));
    return { tactic, seed, front, seconds: (performance.now() - start) / 1000 };
  }

  /** Hypervolume of fronts in (MACs as a share of the full network, metric): the reference is the full cost and the worst value seen. */
  hypervolumes(outcomes: readonly TacticOutcome[]): number[] {
    const sign = this.#task.metric === 'accuracy' ? -1 : 1;
    const full = this.macs(fullSubnet(this.#model.space));
    const worst = Math.max(...[...this.#known.values()].map((value) => sign * value));
    const points = (outcome: TacticOutcome) => outcome.front.map(({ macs, value }) => [macs / full, sign * value]);
    return outcomes.map((outcome) => hypervolume(points(outcome), [1.01, worst]));
  }

  #problem(): SearchProblem {
    const { space } = this.#model;
    const { metric, name } = this.#task;
    const subnet = (genes: readonly number[]) => genesToSubnet(space, [...genes]);
    return {
      name,
      space: geneCardinalities(space).map((count) => integer(0, count - 1)),
      active: (genes) => usedGenes(space, [...genes]),
      objectives: [
        { name: 'macs', kind: 'exact', unit: 'G', evaluate: (genes) => this.macs(subnet(genes)) / 1e9 },
        {
          name: metric,
          kind: 'measured',
          direction: metric === 'accuracy' ? 'maximize' : 'minimize',
          evaluate: (genes) => this.value(subnet(genes)),
        },
      ],
      baseline: subnetToGenes(space, fullSubnet(space)),
    };
  }
}
