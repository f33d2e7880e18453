// A super-network as a search problem: one line from a model and its data to a Pareto search.
import { countAdapters } from '../adapters/count.ts';
import { countAdapterBytes } from '../adapters/peft/layout.ts';
import { countMacs, countParameters } from '../elastic/cost.ts';
import { subnetToGenes } from '../elastic/genes.ts';
import { countMemory } from '../elastic/memory.ts';
import { fullSubnet } from '../elastic/subnets.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { countOnnxBytes } from '../export/bytes.ts';
import type { OnnxOptions } from '../export/onnx.ts';
import type { ElasticModel } from '../model/types.ts';
import { quantizationOf, SubnetGenes, type DecodedGenes, type SubnetVariable } from './genes.ts';
import { checkOptions, type SubnetMeasureContext, type SubnetProblemOptions } from './options.ts';
import { qualityOf } from './quality.ts';
import { relativeLatency } from './relative-latency.ts';

type Direction = 'minimize' | 'maximize';

type Evaluate = (genes: readonly number[]) => number;

/** A problem that `runSearch` of `@instatune/search` takes; this package does not need that one. */
export interface SubnetProblem {
  readonly name: string;
  readonly space: readonly SubnetVariable[];
  readonly objectives: readonly (
    | { readonly name: string; readonly kind: 'measured'; readonly direction: Direction; readonly unit?: string }
    | {
        readonly name: string;
        readonly kind: 'exact';
        readonly direction: Direction;
        readonly unit?: string;
        readonly evaluate: Evaluate;
      }
  )[];
  readonly attributes: readonly { readonly name: string; readonly unit?: string; readonly evaluate: Evaluate }[];
  readonly constraints?: readonly string[];
  readonly steps?: number;
  readonly baseline: readonly number[];
  measure(genes: readonly number[], context: SubnetMeasureContext): Promise<Readonly<Record<string, number>>>;
  readonly active: (genes: readonly number[]) => boolean[];
  describe(genes: readonly number[]): Readonly<Record<string, unknown>>;
  /** The sub-network that genes stand for, for `extractSubnet`, `exportOnnx`. */
  subnet(genes: readonly number[]): SubnetConfig;
  /** Options of `exportOnnx` that write what was measured. */
  onnx(genes: readonly number[]): Omit<OnnxOptions, 'signal'>;
}

const UNITS: Readonly<Record<string, string>> = {
  loss: 'nats',
  bytes: 'B',
  memory: 'B',
  latency: 'ms',
  'adapter-bytes': 'B',
};

/**
 * The sub-networks of a model as a search problem: depth, heads, widths, ranks of adapters and, with `bits`, the bit widths of each layer by name. MACs, parameters and
 * memory are computed for every candidate that is thought of; quality, latency and the exported file's bytes are measured (to the byte: a graph is built
 * for it), and predicted in between.
 *
 * @throws SupernetError `invalid-option`
 * @example
 * ```ts
 * import { subnetProblem } from '@instatune/supernet';
 *
 * // `runSearch(problem, { evaluations: 150 })` of `@instatune/search` finds its front.
 * const problem = subnetProblem(model, { task: data, objectives: ['loss', 'bytes'], bits: [4, 8] });
 * console.log(problem.describe(problem.baseline));
 * ```
 */
export function subnetProblem(model: ElasticModel, options: SubnetProblemOptions): SubnetProblem {
  const { task, objectives = ['loss', 'macs'], bits, tokens, batchSize = 32, steps = 1 } = options;
  checkOptions(options, objectives, model.adapters !== undefined);
  const genes = new SubnetGenes(model.space, bits && [...new Set(bits)].sort((a, b) => a - b));
  const { config } = model;
  const length = tokens === undefined ? {} : { tokens };
  const computed: Readonly<Record<string, (subnet: SubnetConfig) => number>> = {
    macs: (subnet) => countMacs(config, subnet, length),
    parameters: (subnet) => countParameters(config, subnet),
    memory: (subnet) => countMemory(config, subnet, length).total,
    ...(model.adapters && {
      'adapter-bytes': (subnet: SubnetConfig) => countAdapterBytes(model, subnet),
      'adapter-macs': (subnet: SubnetConfig) => countAdapters(model, subnet, length).macs,
    }),
  };
  const wanted = (name: string) => objectives.some((objective) => objective === name);
  const latency = options.latency ?? relativeLatency(model, tokens);
  const onnxOf = ({ bits: chosen }: DecodedGenes): Omit<OnnxOptions, 'signal'> =>
    chosen ? { ...options.onnx, ...quantizationOf(chosen, options.onnx?.quantization) } : (options.onnx ?? {});
  const part = (name: string) => ({ name, ...(UNITS[name] === undefined ? {} : { unit: UNITS[name] }) });
  const evaluateOf =
    (name: string): Evaluate =>
    (candidate) =>
      computed[name]!(genes.decode(candidate).subnet);
  return {
    name: options.name ?? `${config.family} sub-networks`,
    space: genes.variables,
    objectives: objectives.map((name) => {
      const direction = name === 'accuracy' ? 'maximize' : 'minimize';
      return Object.hasOwn(computed, name)
        ? { ...part(name), kind: 'exact', direction, evaluate: evaluateOf(name) }
        : { ...part(name), kind: 'measured', direction };
    }),
    attributes: Object.keys(computed)
      .filter((name) => !wanted(name))
      .map((name) => ({ ...part(name), evaluate: evaluateOf(name) })),
    ...(options.constraints ? { constraints: options.constraints } : {}),
    ...(steps > 1 ? { steps } : {}),
    baseline: genes.withMostBits(subnetToGenes(model.space, fullSubnet(model.space))),
    async measure(candidate, context) {
      const decoded = genes.decode(candidate);
      const quality = await qualityOf(model, decoded, task, { ...context, batchSize, steps, onnx: onnxOf(decoded) });
      return {
        ...quality,
        ...(wanted('bytes') || bits ? { bytes: countOnnxBytes(config, decoded.subnet, onnxOf(decoded)) } : {}),
        ...(wanted('latency') ? { latency: await latency(decoded.subnet, context.signal) } : {}),
      };
    },
    active: (candidate) => genes.active(candidate),
    describe: (candidate) => genes.describe(candidate),
    subnet: (candidate) => genes.decode(candidate).subnet,
    onnx: (candidate) => onnxOf(genes.decode(candidate)),
  };
}
