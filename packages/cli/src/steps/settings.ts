// How a run is done: every number of it, with its default.
import type { SpaceChoices } from '@instatune/supernet';
import * as v from 'valibot';
import { metricOf, type TaskData, type TaskName } from '../data/task.ts';
import { parseBudget } from '../budget/grammar.ts';
import { quantity, QUANTITY_NAMES, type QuantityName } from '../budget/quantities.ts';
import { TuneError } from '../errors.ts';
import { QUANTIZATIONS, type Quantization } from './export.ts';

/** Options of a run; those left out have defaults by task and size. */
export interface TuneSettings {
  /** e.g. `latency<=0.5x, loss<=baseline+1%`. */
  readonly budget: string | readonly string[];
  /** Costs that the search minimises beside the loss and those that the budget names. @defaultValue none; the latency where the budget names none */
  readonly objectives?: readonly QuantityName[] | undefined;
  /** What is best within the budget. @defaultValue the loss (of spans F1) where the budget bounds costs only, the cost where quality only, else the knee */
  readonly optimize?: string | undefined;
  /** Passes over the training data as a super-network. @defaultValue 3, 10 of images */
  readonly epochs?: number | undefined;
  /** Optimisation steps; wins over `epochs`. */
  readonly steps?: number | undefined;
  /** Steps of the chosen sub-network by itself. @defaultValue half of the super-network's */
  readonly tuneSteps?: number | undefined;
  /** @defaultValue 16, 32 of images */
  readonly batchSize?: number | undefined;
  /** Peak learning rate. @defaultValue by width: 3e-4 up to 256, 1e-4 up to 512, 5e-5 up to 768, 3e-5 beyond; thrice that of language models */
  readonly learningRate?: number | undefined;
  /** Sub-networks that the search measures. @defaultValue 100 */
  readonly evaluations?: number | undefined;
  /** Sub-networks a round. @defaultValue a fifth of the evaluations, at least 8 */
  readonly population?: number | undefined;
  /** Choices of layers, heads and FFN units. @defaultValue those of `createSpace` */
  readonly space?: SpaceChoices | undefined;
  /** Fit the chosen one's output projections again before it is fine-tuned on, and keep that where it is as good. @defaultValue true */
  readonly reconstruct?: boolean | undefined;
  /** @defaultValue none */
  readonly quantize?: Quantization | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
}

/** {@link TuneSettings} with every default filled in. */
export interface ResolvedSettings {
  readonly budget: readonly string[];
  readonly objectives: readonly QuantityName[];
  readonly optimize: string | null;
  readonly steps: number;
  readonly tuneSteps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly evaluations: number;
  readonly population: number;
  readonly space: SpaceChoices;
  readonly reconstruct: boolean;
  readonly quantize: Quantization;
  readonly seed: number;
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const schema = v.object({
  epochs: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0))),
  steps: v.optional(count),
  tuneSteps: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  batchSize: v.optional(count),
  learningRate: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0))),
  evaluations: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2))),
  population: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2))),
  reconstruct: v.optional(v.boolean()),
  quantize: v.optional(v.picklist(QUANTIZATIONS)),
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});

const COSTS = QUANTITY_NAMES.filter((name) => quantity(name).kind === 'cost');

/** Fills in defaults. @throws TuneError `invalid-option`, `bad-budget` */
export function resolveSettings(settings: TuneSettings, data: TaskData, hiddenSize: number): ResolvedSettings {
  const { budget, objectives, optimize, space, ...numbers } = settings;
  const parsed = v.safeParse(schema, numbers);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const name = v.getDotPath(issue) ?? 'options';
    throw new TuneError('invalid-option', `${name} is ${JSON.stringify(issue.input)}: ${issue.message}`, {
      name,
      value: issue.input,
    });
  }
  const given = parsed.output;
  const bounds = parseBudget(budget);
  const named = COSTS.filter((name) => bounds.some((bound) => bound.name === name));
  for (const name of objectives ?? [])
    if (!COSTS.includes(name))
      throw new TuneError('invalid-option', `objective "${name}": use ${COSTS.join(', ')}`, { name });
  const wanted = [...new Set([...(objectives ?? []), ...named])];
  const costs = wanted.length > 0 ? wanted : (['latency'] as const);
  const metric = metricOf(data);
  /** What is measured of each network. */
  const qualities: readonly string[] = ['loss', metric, ...(metric === 'r2' ? [] : ['accuracy'])];
  const other = bounds.find(({ name }) => quantity(name).kind === 'quality' && !qualities.includes(name));
  if (other)
    throw new TuneError(
      'bad-budget',
      `the budget "${other.text}" names ${other.name}, which ${data.task} has not: use loss or ${metric}`,
      {
        text: other.text,
      },
    );
  const optimizable = [...new Set([...qualities, ...costs])];
  if (optimize !== undefined && !optimizable.includes(optimize))
    throw new TuneError('invalid-option', `optimize is "${optimize}": use ${optimizable.join(', ')}`, { optimize });
  const ofCosts = bounds.every(({ name }) => quantity(name).kind === 'cost');
  const { task, train } = data;
  const batchSize = Math.min(given.batchSize ?? (task === 'image-classification' ? 32 : 16), train.length);
  const epochs = given.epochs ?? (task === 'image-classification' ? 10 : 3);
  const steps = given.steps ?? Math.max(1, Math.round((epochs * train.length) / batchSize));
  const evaluations = given.evaluations ?? 100;
  return {
    budget: bounds.map(({ text }) => text),
    objectives: costs,
    optimize: optimize ?? (metric === 'f1' && ofCosts ? metric : null),
    steps,
    tuneSteps: given.tuneSteps ?? Math.ceil(steps / 2),
    batchSize,
    learningRate: given.learningRate ?? defaultRate(hiddenSize, task),
    evaluations,
    population: Math.min(evaluations, given.population ?? Math.max(8, Math.round(evaluations / 5))),
    space: space ?? {},
    reconstruct: given.reconstruct ?? true,
    quantize: given.quantize ?? 'none',
    seed: given.seed ?? 0,
  };
}

function defaultRate(hiddenSize: number, task: TaskName): number {
  const rate = hiddenSize <= 256 ? 3e-4 : hiddenSize <= 512 ? 1e-4 : hiddenSize <= 768 ? 5e-5 : 3e-5;
  return task === 'language-modelling' ? 3 * rate : rate;
}
