// Operations on activations, number by number and row by row.
import { HipError } from '@hip/mask-search';
import type { Engine, Kernel } from '../runtime/engine.ts';
import type { Activation } from './activation.ts';
import { addressOf, addressOrNone, checkCounts, checkNumber } from './check.ts';
import { MODEL_JOB, type ModelJob } from './job.ts';

/** Numbered as in assembly/model/activations.ts. */
const ACTIVATIONS = {
  identity: 0,
  silu: 1,
  gelu: 2,
  'gelu-tanh': 3,
  'gelu-quick': 4,
  relu: 5,
  'relu-squared': 6,
  sigmoid: 7,
  tanh: 8,
} as const;

/** `gelu` by the error function, `gelu-tanh` by its approximation, `gelu-quick` x·σ(1.702x). */
export type ActivationFunction = keyof typeof ACTIVATIONS;

/** Numbered as in assembly/model/elements.ts. */
const OPERATIONS = { softcap: 16, addScaled: 17, scale: 18 } as const;

/** Options of {@link CpuRuntime.rmsNorm}. */
export interface NormOptions {
  /** @defaultValue 1 */
  readonly rows?: number | undefined;
  /** Numbers of a row. */
  readonly width: number;
  readonly epsilon: number;
  /** The weight is 1 more than stored, as in Gemma. @defaultValue false */
  readonly unitOffset?: boolean | undefined;
}

/** Options of {@link CpuRuntime.rotate}. */
export interface RotateOptions {
  /** @defaultValue 1 */
  readonly rows?: number | undefined;
  readonly heads: number;
  readonly headDim: number;
  /** Numbers of a head that are turned, the first ones. @defaultValue headDim */
  readonly rotaryDim?: number | undefined;
  /** [rows, rotaryDim / 2] */
  readonly cos: Activation;
  /** [rows, rotaryDim / 2] */
  readonly sin: Activation;
  /** Pairs are neighbours (2i, 2i + 1), not halves (i, i + rotaryDim / 2). @defaultValue false */
  readonly interleaved?: boolean | undefined;
}

/** Numbers below which the calling thread does the work alone, and about how many make a work item. */
const ALONE = 16384;
const ITEM = 4096;

/** Runs `runs` runs of `size` numbers each, several to a work item. */
function spread(engine: Engine, job: ModelJob, kernel: Kernel, runs: number, size: number): void {
  const alone = runs * size < ALONE || engine.threads === 1;
  const run = alone ? runs : Math.max(1, Math.floor(ITEM / size));
  const items = Math.ceil(runs / run);
  job.set(MODEL_JOB.RUN, run);
  job.begin(items);
  if (alone) engine.runHere(kernel, job.at);
  else engine.runShort(kernel, job.at, items);
}

/** Norm of rows; `centred`: less their mean, a LayerNorm. */
export function norm(
  engine: Engine,
  job: ModelJob,
  centred: boolean,
  { out, x, weight, bias }: { out: Activation; x: Activation; weight?: Activation; bias?: Activation },
  { rows = 1, width, epsilon, unitOffset = false }: NormOptions,
): void {
  checkCounts({ rows, width });
  checkNumber('epsilon', epsilon);
  const { heap } = engine;
  job.begin(0);
  job.set(MODEL_JOB.X, addressOf('x', x, heap, rows * width));
  job.set(MODEL_JOB.OUT, addressOf('out', out, heap, rows * width));
  job.set(MODEL_JOB.SECOND, addressOrNone('weight', weight, heap, width));
  job.set(MODEL_JOB.THIRD, addressOrNone('bias', bias, heap, width));
  job.set(MODEL_JOB.ROWS, rows);
  job.set(MODEL_JOB.WIDTH, width);
  job.set(MODEL_JOB.OPERATION, centred ? 1 : 0);
  job.set(MODEL_JOB.FLAG, unitOffset ? 1 : 0);
  job.setFloat(MODEL_JOB.EPSILON, epsilon);
  spread(engine, job, 'norm', rows, width);
}

export function rotate(
  engine: Engine,
  job: ModelJob,
  x: Activation,
  { rows = 1, heads, headDim, rotaryDim = headDim, cos, sin, interleaved = false }: RotateOptions,
): void {
  checkCounts({ rows, heads, headDim, rotaryDim });
  if (rotaryDim % 2 !== 0 || rotaryDim > headDim) {
    const message = `rotaryDim is ${rotaryDim}: give an even number up to headDim = ${headDim}`;
    throw new HipError('invalid-shape', message, { name: 'rotaryDim', value: rotaryDim, headDim });
  }
  const { heap } = engine;
  const angles = (rows * rotaryDim) / 2;
  job.begin(0);
  job.set(MODEL_JOB.X, addressOf('x', x, heap, rows * heads * headDim));
  job.set(MODEL_JOB.SECOND, addressOf('cos', cos, heap, angles));
  job.set(MODEL_JOB.THIRD, addressOf('sin', sin, heap, angles));
  job.set(MODEL_JOB.ROWS, rows);
  job.set(MODEL_JOB.HEADS, heads);
  job.set(MODEL_JOB.HEAD_DIM, headDim);
  job.set(MODEL_JOB.WIDTH, rotaryDim);
  job.set(MODEL_JOB.FLAG, interleaved ? 1 : 0);
  spread(engine, job, 'rotate', rows, heads * headDim);
}

/** What {@link elements} reads and writes. */
interface Operands {
  readonly out: Activation;
  readonly x: Activation;
  readonly second?: Activation | undefined;
  readonly length: number;
  readonly factor?: number;
}

function elements(engine: Engine, job: ModelJob, code: number, { out, x, second, length, factor = 1 }: Operands): void {
  checkCounts({ length });
  const { heap } = engine;
  job.begin(0);
  job.set(MODEL_JOB.X, addressOf('x', x, heap, length));
  job.set(MODEL_JOB.OUT, addressOf('out', out, heap, length));
  job.set(MODEL_JOB.SECOND, addressOrNone('up', second, heap, length));
  job.set(MODEL_JOB.OPERATION, code);
  job.set(MODEL_JOB.WIDTH, length);
  job.setFloat(MODEL_JOB.FACTOR, factor);
  // Runs of whole vectors.
  const alone = length < ALONE || engine.threads === 1;
  const run = alone ? length : ITEM;
  const items = Math.ceil(length / run);
  job.set(MODEL_JOB.RUN, run);
  job.begin(items);
  if (alone) engine.runHere('elements', job.at);
  else engine.runShort('elements', job.at, items);
}

/** out = f(x) · up, or f(x) where there is none. */
export function gate(
  engine: Engine,
  job: ModelJob,
  activation: ActivationFunction,
  operands: Omit<Operands, 'factor'>,
): void {
  if (!Object.hasOwn(ACTIVATIONS, activation)) {
    const message = `activation is ${String(activation)}: give one of ${Object.keys(ACTIVATIONS).join(', ')}`;
    throw new HipError('unsupported', message, { name: 'activation', value: activation });
  }
  elements(engine, job, ACTIVATIONS[activation], operands);
}

/** By name of the operation and of its number, for messages. */
export function factored(
  engine: Engine,
  job: ModelJob,
  operation: keyof typeof OPERATIONS,
  name: string,
  operands: Omit<Operands, 'second'> & { readonly factor: number },
): void {
  checkNumber(name, operands.factor, operation === 'softcap' ? 0 : undefined);
  elements(engine, job, OPERATIONS[operation], operands);
}
