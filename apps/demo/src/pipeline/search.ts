// The search: sub-networks of the fine-tuned super-network that are Pareto-optimal for validation loss and measured latency.
import { countMacs, countParameters, fullSubnet, geneCardinalities, genesToSubnet, subnetToGenes, usedGenes, type ElasticModel, type SubnetConfig } from '@instatune/supernet';
import { integer } from '@instatune/nsga2';
import type { SearchProblem } from '@instatune/search';

export interface SubnetMeasurements {
  /** Mean next-token loss on the search's validation windows. */
  loss(subnet: SubnetConfig, split: string): Promise<number>;
  /** Median milliseconds of one forward pass. */
  latency(subnet: SubnetConfig): Promise<number>;
}

/** Tokens of the sequence whose MACs and latency are compared. */
export const LATENCY_TOKENS = 256;

/** The sub-networks of a model as a search problem. Genes are indices into the space's choices. */
export function subnetProblem(model: ElasticModel, measurements: SubnetMeasurements): SearchProblem {
  const { space, config } = model;
  const macs = (genes: readonly number[]): number => countMacs(config, genesToSubnet(space, genes), { tokens: LATENCY_TOKENS });
  return {
    name: `${model.family} sub-networks`,
    space: geneCardinalities(space).map((count) => integer(0, count - 1)),
    objectives: [
      { name: 'latency', kind: 'measured', unit: 'ms' },
      { name: 'loss', kind: 'measured', unit: 'nats' },
    ],
    attributes: [
      { name: 'macs', evaluate: macs },
      { name: 'parameters', evaluate: (genes) => countParameters(config, genesToSubnet(space, genes)) },
    ],
    measure: async (genes, { split }) => {
      const subnet = genesToSubnet(space, genes);
      return { latency: await measurements.latency(subnet), loss: await measurements.loss(subnet, split) };
    },
    active: (genes) => usedGenes(space, genes),
    baseline: subnetToGenes(space, fullSubnet(space)),
    describe: (genes) => ({ ...genesToSubnet(space, genes) }),
  };
}
