// What is wanted of a search over sub-networks: the task, the objectives, and what they are measured by.
import { positiveInteger } from '../counts.ts';
import type { Dataset } from '../data/dataset.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError } from '../errors.ts';
import type { OnnxOptions } from '../export/onnx.ts';
import type { ElasticModel } from '../model/types.ts';
import type { WeightBits } from './genes.ts';

/** What is measured of a sub-network's answers. */
export type SubnetQuality = 'loss' | 'accuracy' | 'perplexity';

/**
 * What a sub-network costs: of a model with adapters those of the network that they are merged into, and beside it what they cost kept
 * apart, one set of many over one base.
 */
export type SubnetCost = 'macs' | 'parameters' | 'bytes' | 'memory' | 'latency' | AdapterCost;

/** Bytes of the adapters' file in float32, and multiply-accumulates beside the network's. */
export type AdapterCost = 'adapter-bytes' | 'adapter-macs';

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

const OBJECTIVES: readonly SubnetObjective[] = [
  'loss',
  'accuracy',
  'perplexity',
  'macs',
  'parameters',
  'bytes',
  'memory',
  'latency',
  'adapter-bytes',
  'adapter-macs',
];

export function checkOptions(
  { bits, onnx, task, steps = 1 }: SubnetProblemOptions,
  objectives: readonly SubnetObjective[],
  hasAdapters: boolean,
): void {
  const fail = (message: string, details: Record<string, unknown>): never => {
    throw new SupernetError('invalid-option', message, details);
  };
  positiveInteger('steps', steps);
  const alien = objectives.find((name) => !OBJECTIVES.includes(name) && typeof task !== 'function');
  if (alien !== undefined || objectives.length === 0)
    fail(`objectives = ${objectives.join(', ') || '(none)'}: use some of ${OBJECTIVES.join(', ')}`, { objectives });
  const apart = objectives.find((name) => name.startsWith('adapter-'));
  if (apart !== undefined && !hasAdapters)
    fail(`objectives has ${apart}: the model has no adapters, make some by addAdapters`, { objectives });
  if (bits && (bits.length === 0 || bits.some((each) => each !== 4 && each !== 8)))
    fail(`bits = ${JSON.stringify(bits)}: use 4, 8 or both`, { bits });
  if (bits && onnx?.dtype !== undefined && !onnx.dtype.startsWith('q'))
    fail(`onnx.dtype = ${onnx.dtype} and bits: leave dtype out, every weight's bits are genes`, { dtype: onnx.dtype });
}
