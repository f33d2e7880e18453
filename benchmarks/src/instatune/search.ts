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
  type ElasticSpace,
  type SubnetConfig,
} from '@instatune/supernet';
import type { Score } from './rows.ts';
import type { Task } from './tasks.ts';

export interface SearchedPoint {
  readonly subnet: SubnetConfig;
  readonly macs: number;
  /** On the search split. */
  readonly loss: number;
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
  readonly #known = new Map<string, Score>();

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

  /** Accuracy and loss on the search split. */
  async score(subnet: SubnetConfig): Promise<Score> {
    const key = subnetKey(subnet);
    const known = this.#known.get(key);
    if (known) return known;
    const score = await evaluate(this.#model, this.#data, { subnet, batchSize: this.#task.evaluationBatch });
    this.#known.set(key, score);
    return score;
  }

  /** @param space the model's, or a part of it */
  async run(
    tactic: TacticName,
    evaluations: number,
    seed: number,
    signal: AbortSignal,
    space: ElasticSpace = this.#model.space,
  ): Promise<TacticOutcome> {
    const start = performance.now();
    const result = await runSearch(this.#problem(space), {
      tactic,
      evaluations,
      population: Math.max(10, Math.round(evaluations / 5)),
      seed,
      signal,
    });
    const front = result.front.map(({ genes, values }) => ({
      subnet: genesToSubnet(space, [...genes]),
      macs: values['macs']! * 1e9,
      loss: values['loss']!,
    }));
    return { tactic, seed, front, seconds: (performance.now() - start) / 1000 };
  }

  /** Hypervolume of fronts in (MACs as a share of the full network, loss): the reference is the full cost and the worst loss seen. */
  hypervolumes(outcomes: readonly TacticOutcome[]): number[] {
    const full = this.macs(fullSubnet(this.#model.space));
    const worst = Math.max(...[...this.#known.values()].map(({ loss }) => loss));
    const points = (outcome: TacticOutcome) => outcome.front.map(({ macs, loss }) => [macs / full, loss]);
    return outcomes.map((outcome) => hypervolume(points(outcome), [1.01, worst]));
  }

  #problem(space: ElasticSpace): SearchProblem {
    const { name } = this.#task;
    const subnet = (genes: readonly number[]) => genesToSubnet(space, [...genes]);
    return {
      name,
      space: geneCardinalities(space).map((count) => integer(0, count - 1)),
      active: (genes) => usedGenes(space, [...genes]),
      objectives: [
        { name: 'macs', kind: 'exact', unit: 'G', evaluate: (genes) => this.macs(subnet(genes)) / 1e9 },
        // Not the accuracy: over a thousand examples it is noise where sub-networks differ little, the loss is not.
        { name: 'loss', kind: 'measured', evaluate: async (genes) => (await this.score(subnet(genes))).loss },
      ],
      baseline: subnetToGenes(space, fullSubnet(space)),
    };
  }
}
