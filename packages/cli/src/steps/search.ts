// A trained super-network as a search problem: loss and what costs it is measured or computed for each sub-network.
import type { Attribute, ExactObjective, MeasuredObjective, SearchProblem } from '@instatune/search';
import {
  genesToSubnet,
  subnetProblem as elasticProblem,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import type { QuantityName } from '../budget/quantities.ts';
import { quantity } from '../budget/quantities.ts';
import type { TaskData } from '../data/task.ts';
import { bytesOf, macsOf, memoryOf, parametersOf, type CostShape } from './costs.ts';
import type { RelativeLatency } from './latency.ts';
import { qualityOf } from './quality.ts';

/** What a problem is made of. */
export interface SubnetProblemOptions {
  readonly model: ElasticModel;
  readonly data: TaskData;
  /** Costs that are minimised beside the loss. */
  readonly objectives: readonly QuantityName[];
  readonly costs: CostShape;
  /** Asked where the latency is an objective. */
  readonly latency: RelativeLatency;
}

const COMPUTED = { macs: macsOf, parameters: parametersOf, bytes: bytesOf, memory: memoryOf } as const;
/** Computed of what is measured only, and predicted of what is thought of in between. */
const SLOW: readonly string[] = ['bytes'];

/** The loss against costs. Accuracy or perplexity, and every computed cost, are recorded beside. */
export function subnetProblem({ model, data, objectives, costs, latency }: SubnetProblemOptions): SearchProblem {
  const { space, active, baseline } = elasticProblem(model, { task: data.validation });
  const subnet = (genes: readonly number[]) => genesToSubnet(model.space, genes);
  const wanted = (name: string) => objectives.some((each) => each === name);
  const computed = Object.entries(COMPUTED).map(([name, cost]): Attribute => {
    const { unit } = quantity(name as keyof typeof COMPUTED);
    return { name, ...(unit !== '' && { unit }), evaluate: (genes) => cost(model, subnet(genes), costs) };
  });
  return {
    name: data.task,
    space,
    active,
    objectives: [
      { name: 'loss', kind: 'measured' } satisfies MeasuredObjective,
      ...(wanted('latency') ? [{ name: 'latency', kind: 'measured', unit: 'ms' } satisfies MeasuredObjective] : []),
      ...computed
        .filter(({ name }) => wanted(name))
        .map((each): ExactObjective | MeasuredObjective =>
          SLOW.includes(each.name)
            ? { name: each.name, kind: 'measured', unit: each.unit ?? '' }
            : { ...each, kind: 'exact' },
        ),
    ],
    attributes: computed.filter(({ name }) => !wanted(name)),
    async measure(genes, { signal }) {
      const chosen = subnet(genes);
      const quality = await qualityOf(model, data.validation, data, { subnet: chosen, signal });
      return {
        ...quality,
        ...(wanted('bytes') && { bytes: bytesOf(model, chosen, costs) }),
        ...(wanted('latency') && { latency: await latency.of(chosen, signal) }),
      };
    },
    baseline,
    describe: (genes) => describeSubnet(subnet(genes)),
  };
}

/** A sub-network for people: lists of layers that are there, one number where all are alike; blocks that are left out by their layer, from 1. */
export function describeSubnet(subnet: SubnetConfig): Readonly<Record<string, string>> {
  const shown = (value: unknown): string => {
    if (!Array.isArray(value)) return String(value);
    const used: readonly unknown[] = value.slice(0, subnet.layers);
    if (typeof used[0] === 'boolean')
      return used.flatMap((left, layer) => (left === true ? [layer + 1] : [])).join(' ');
    return new Set(used).size === 1 ? String(used[0]) : used.join(' ');
  };
  return Object.fromEntries(
    Object.entries(subnet)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, shown(value)] as const)
      .filter(([, value]) => value !== ''),
  );
}
