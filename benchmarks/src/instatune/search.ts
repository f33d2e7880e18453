// LINAS, NSGA-II and random search on one super-network at equal measurements; a sub-network is measured once, whoever asks.
import { hypervolume, integer } from '@instatune/nsga2';
import { runSearch, type SearchProblem, type TacticName } from '@instatune/search';
import {
  countMacs,
  evaluate,
  fullSubnet,
  geneCardinalities,
  genesToSubnet,
  spaceSize,
  subnetKey,
  subnetToGenes,
  usedGenes,
  type Dataset,
  type ElasticModel,
  type ElasticSpace,
  type SubnetConfig,
} from '@instatune/supernet';
import type { Score } from './per-example.ts';
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
export function macsOf({ tokens, layersOnly }: Task, { config }: ElasticModel, subnet: SubnetConfig): number {
  const sequence = tokens === undefined ? {} : { tokens };
  return countMacs(config, subnet, { ...sequence, ...(layersOnly && { logitPositions: 0 }) });
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
    const score = await evaluate(this.#model, this.#data, {
      subnet,
      batchSize: this.#task.evaluationBatch,
      precision: this.#task.recipe.common.precision,
    });
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
    if (spaceSize(space) <= evaluations) {
      const front = await this.#all(space);
      return { tactic, seed, front, seconds: (performance.now() - start) / 1000 };
    }
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

  /** The front of a space small enough to measure all of it. */
  async #all(space: ElasticSpace): Promise<SearchedPoint[]> {
    const points: SearchedPoint[] = [];
    for (const genes of allGenes(geneCardinalities(space))) {
      const subnet = genesToSubnet(space, genes);
      if (points.some((point) => subnetKey(point.subnet) === subnetKey(subnet))) continue;
      points.push({ subnet, macs: this.macs(subnet), loss: (await this.score(subnet)).loss });
    }
    const better = (a: SearchedPoint, b: SearchedPoint) =>
      a.macs <= b.macs && a.loss <= b.loss && (a.macs < b.macs || a.loss < b.loss);
    return points.filter((point) => !points.some((other) => better(other, point)));
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

function allGenes([first, ...rest]: readonly number[]): number[][] {
  if (first === undefined) return [[]];
  const tails = allGenes(rest);
  return Array.from({ length: first }, (_, gene) => tails.map((tail) => [gene, ...tail])).flat();
}
