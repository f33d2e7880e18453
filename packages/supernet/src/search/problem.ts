// A super-network as a search problem: one line from a model and its data to a Pareto search.
import { positiveInteger } from '../counts.ts';
import { countMacs, countParameters } from '../elastic/cost.ts';
import { countMemory } from '../elastic/memory.ts';
import { fullSubnet } from '../elastic/subnets.ts';
import { subnetToGenes } from '../elastic/genes.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError } from '../errors.ts';
import { countOnnxBytes } from '../export/bytes.ts';
import { quantizedModel, type OnnxOptions } from '../export/onnx.ts';
import { measureLatencies } from '../latency/measure.ts';
import type { ElasticModel } from '../model/types.ts';
import { evaluate } from '../train/evaluate.ts';
import { subset, type Dataset } from '../data/dataset.ts';
import { quantizationOf, SubnetGenes, type DecodedGenes, type SubnetVariable, type WeightBits } from './genes.ts';

/** What is measured of a sub-network's answers. */
export type SubnetQuality = 'loss' | 'accuracy' | 'perplexity';
/** What a sub-network costs. */
export type SubnetCost = 'macs' | 'parameters' | 'bytes' | 'memory' | 'latency';
export type SubnetObjective = SubnetQuality | SubnetCost;

/** Handed to a task's own measurement. */
export interface SubnetMeasureContext {
  readonly seed: number;
  /** `search`, or the split that is reported. */
  readonly split: string;
  readonly signal: AbortSignal;
  /** Takes what is measured by a step; rejects where the measurement is to end. @defaultValue nobody is told */
  readonly report?: ((step: number, values: Readonly<Record<string, number>>) => Promise<void>) | undefined;
}

/**
 * What sub-networks are for: a dataset, one for each split (`search`, and those that are reported), or a measurement of your own. That is given the
 * model to run (of rounded weights where bit widths are genes, then without `subnet`), and gives `loss`, `accuracy`, or whatever else is an objective's
 * name.
 */
export type SubnetTask =
  | Dataset
  | { readonly search: Dataset; readonly [split: string]: Dataset }
  | ((
      model: ElasticModel,
      subnet: SubnetConfig | undefined,
      context: SubnetMeasureContext,
    ) => Readonly<Record<string, number>> | Promise<Readonly<Record<string, number>>>);

export interface SubnetProblemOptions {
  readonly task: SubnetTask;
  /** Quality is maximised where more is better, costs are minimised; the rest is recorded beside. @defaultValue ['loss', 'macs'] */
  readonly objectives?: readonly SubnetObjective[] | undefined;
  /** @defaultValue the family's name and "sub-networks" */
  readonly name?: string | undefined;
  /** Tokens of a sequence that costs are stated for; image models know theirs. @defaultValue the model's positions */
  readonly tokens?: number | undefined;
  /** Examples at once. @defaultValue 32 */
  readonly batchSize?: number | undefined;
  /**
   * Parts of a dataset that are measured one after the other, each reported: a search with `earlyStopping` ends what others dominate by then.
   * @defaultValue 1: in one go
   */
  readonly steps?: number | undefined;
  /** What the file is exported as: `bytes` are its. @defaultValue { dtype: 'fp32' } */
  readonly onnx?: Omit<OnnxOptions, 'signal'> | undefined;
  /** Bit widths of weights as genes, one a layer and one for everything else: quality and bytes are of weights that are rounded so. @defaultValue none */
  readonly bits?: readonly WeightBits[] | undefined;
  /**
   * Milliseconds of one forward pass. @defaultValue on this tfjs backend, in turns with the full network, whose first time is the unit
   */
  readonly latency?: ((subnet: SubnetConfig, signal: AbortSignal) => number | Promise<number>) | undefined;
  readonly constraints?: readonly string[] | undefined;
}

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

const UNITS: Readonly<Record<string, string>> = { loss: 'nats', bytes: 'B', memory: 'B', latency: 'ms' };
const OBJECTIVES: readonly SubnetObjective[] = [
  'loss',
  'accuracy',
  'perplexity',
  'macs',
  'parameters',
  'bytes',
  'memory',
  'latency',
];
/** Timed passes of each network. */
const REPEATS = 9;

/**
 * The sub-networks of a model as a search problem: depth, heads, widths and, with `bits`, the bit widths of each layer by name. MACs, parameters and
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
  checkOptions(options, objectives);
  const genes = new SubnetGenes(model.space, bits && [...new Set(bits)].sort((a, b) => a - b));
  const { config } = model;
  const length = tokens === undefined ? {} : { tokens };
  const computed: Readonly<Record<string, (subnet: SubnetConfig) => number>> = {
    macs: (subnet) => countMacs(config, subnet, length),
    parameters: (subnet) => countParameters(config, subnet),
    memory: (subnet) => countMemory(config, subnet, length).total,
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

function checkOptions(
  { bits, onnx, task, steps = 1 }: SubnetProblemOptions,
  objectives: readonly SubnetObjective[],
): void {
  const fail = (message: string, details: Record<string, unknown>): never => {
    throw new SupernetError('invalid-option', message, details);
  };
  positiveInteger('steps', steps);
  const alien = objectives.find((name) => !OBJECTIVES.includes(name) && typeof task !== 'function');
  if (alien !== undefined || objectives.length === 0)
    fail(`objectives = ${objectives.join(', ') || '(none)'}: use some of ${OBJECTIVES.join(', ')}`, { objectives });
  if (bits && (bits.length === 0 || bits.some((each) => each !== 4 && each !== 8)))
    fail(`bits = ${JSON.stringify(bits)}: use 4, 8 or both`, { bits });
  if (bits && onnx?.dtype !== undefined && !onnx.dtype.startsWith('q'))
    fail(`onnx.dtype = ${onnx.dtype} and bits: leave dtype out, every weight's bits are genes`, { dtype: onnx.dtype });
}

/** How a sub-network is asked. */
type Asked = SubnetMeasureContext & { readonly batchSize: number; readonly steps: number };

/** Measured as it would run: with weights rounded to their bits, where those are genes. */
async function qualityOf(
  model: ElasticModel,
  { subnet, bits }: DecodedGenes,
  task: SubnetTask,
  { onnx, ...options }: Asked & { readonly onnx: Omit<OnnxOptions, 'signal'> },
): Promise<Readonly<Record<string, number>>> {
  if (!bits) return ask(model, subnet, task, options);
  const rounded = await quantizedModel(model, subnet, onnx);
  try {
    return await ask(rounded, undefined, task, options);
  } finally {
    rounded.dispose();
  }
}

async function ask(
  model: ElasticModel,
  subnet: SubnetConfig | undefined,
  task: SubnetTask,
  options: Asked,
): Promise<Readonly<Record<string, number>>> {
  const { split, signal, seed, report } = options;
  if (typeof task === 'function') return task(model, subnet, { split, signal, seed, report });
  const dataset = 'batch' in task ? task : (task as Readonly<Record<string, Dataset>>)[split];
  if (typeof dataset?.batch !== 'function') {
    const known = Object.keys(task).join(', ');
    throw new SupernetError('invalid-option', `task has no data for the split ${split}: it has ${known}`, { split });
  }
  return inParts(model, subnet, dataset as Dataset, options);
}

const withPerplexity = (
  { config }: ElasticModel,
  quality: { readonly loss: number; readonly accuracy: number },
): Readonly<Record<string, number>> =>
  config.head.endsWith('-lm') ? { ...quality, perplexity: Math.exp(quality.loss) } : quality;

/** Part after part of a dataset, each reported with those before it; the last is the whole. */
async function inParts(
  model: ElasticModel,
  subnet: SubnetConfig | undefined,
  dataset: Dataset,
  { split, signal, batchSize, steps, report }: Asked,
): Promise<Readonly<Record<string, number>>> {
  // What is reported at the end is measured whole anyway.
  const parts = split === 'search' ? Math.min(steps, dataset.length) : 1;
  const sum = { loss: 0, accuracy: 0, count: 0 };
  const soFar = () => withPerplexity(model, { loss: sum.loss / sum.count, accuracy: sum.accuracy / sum.count });
  for (let part = 0; part < parts; part++) {
    const from = Math.round((part * dataset.length) / parts);
    const length = Math.round(((part + 1) * dataset.length) / parts) - from;
    const data =
      parts === 1
        ? dataset
        : subset(
            dataset,
            Array.from({ length }, (_, i) => from + i),
          );
    const { loss, accuracy, count } = await evaluate(model, data, { subnet, batchSize, signal });
    // Not the least digit changes for what is measured in one go.
    if (parts === 1) return withPerplexity(model, { loss, accuracy });
    sum.loss += loss * count;
    sum.accuracy += accuracy * count;
    sum.count += count;
    if (part + 1 < parts) await report?.(((part + 1) * steps) / parts, soFar());
  }
  return soFar();
}

/** A machine that slows down slows both: what is kept is the share of the full network, in the unit of its first time. */
function relativeLatency(
  model: ElasticModel,
  sequence: number | undefined,
): (subnet: SubnetConfig, signal: AbortSignal) => Promise<number> {
  let unit: number | undefined;
  return async (subnet, signal) => {
    const [full, own] = await measureLatencies(model, [fullSubnet(model.space), subnet], {
      ...(sequence === undefined ? {} : { sequence }),
      repeats: REPEATS,
      signal,
    });
    unit ??= full!.medianMs;
    return (unit * own!.medianMs) / full!.medianMs;
  };
}
