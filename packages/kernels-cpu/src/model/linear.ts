// Products of activations with stored matrices.
import { HipError } from '@hip/mask-search';
import type { Engine } from '../runtime/engine.ts';
import { alignBytes, Scope, type Heap } from '../runtime/heap.ts';
import type { Activation } from './activation.ts';
import { addressOf, addressOrNone, blocksOf, checkCounts } from './check.ts';
import { MAX_TARGETS, MODEL_JOB, setTarget, type ModelJob } from './job.ts';
import type { StoredMatrix } from './matrix.ts';

/** Options of {@link CpuRuntime.linear}. */
export interface LinearOptions {
  /** Rows of x and of the output. @defaultValue 1 */
  readonly rows?: number | undefined;
  /** [outputs], added to every row. */
  readonly bias?: Activation | undefined;
  /** The product is added to what the output holds. @defaultValue false */
  readonly add?: boolean | undefined;
  /** Each row's product is what it is alone, bit for bit: for a few rows; many are slower so. @defaultValue false */
  readonly apart?: boolean | undefined;
}

/** One of the matrices that {@link CpuRuntime.linears} multiplies by the same rows. */
export interface LinearTarget extends Pick<LinearOptions, 'bias' | 'add'> {
  /** [rows, matrix rows] */
  readonly out: Activation;
  readonly matrix: StoredMatrix;
}

/** Outputs of a group; rows and groups of a work item of many rows: assembly/model/linear.ts. */
const GROUP = 8;
const TILE = 256;
const PANELS = 4;
/** Fewer rows than this are multiplied group by group. */
const FEW_ROWS = 6;
/** Work items a thread of few rows, and most groups of one. */
const ITEMS_A_THREAD = 8;
const MOST_GROUPS = 16;

/** Bytes of a row of x as integers: assembly/model/quantize.ts. */
function quantizedBytes(columns: number): number {
  return alignBytes(columns * 2 + (columns / 32) * 16);
}

/**
 * Bytes of one thread's scratch.
 *
 * @param careful - bytes of a row with halves that are not finite, else 0
 * @param widened - whether groups of halves are widened
 */
function scratchBytes(few: boolean, columns: number, careful: number, widened: boolean): number {
  const line = careful === 0 ? 0 : columns * 4 + careful;
  if (few) return alignBytes(64 + (careful === 0 && !widened ? 0 : columns * 32) + line);
  return alignBytes(TILE * 4 + TILE * PANELS * 32 + PANELS * columns * 32 + line);
}

/**
 * Bytes that a product takes for its time, beside its operands.
 *
 * @param threads of the runtime
 */
export function linearScratch(rows: number, columns: number, threads: number): number {
  const few = rows < FEW_ROWS;
  return (
    (few ? rows * quantizedBytes(columns) : 0) + alignBytes(scratchBytes(few, columns, 0, few && rows > 1) * threads)
  );
}

/** out = x · matrixᵀ for each target, in one job. */
export function linears(
  engine: Engine,
  job: ModelJob,
  x: Activation,
  targets: readonly LinearTarget[],
  rows: number,
  apart = false,
): void {
  const [first] = targets;
  if (!first || targets.length > MAX_TARGETS) {
    const message = `${targets.length} matrices are given: give 1 to ${MAX_TARGETS}`;
    throw new HipError('invalid-shape', message, { targets: targets.length });
  }
  checkCounts({ rows });
  const { heap } = engine;
  const { columns } = first.matrix;
  const xAt = addressOf('x', x, heap, rows * columns);
  const few = apart || rows < FEW_ROWS;
  let [groups, integers, careful] = [0, false, 0];
  for (const { matrix } of targets) {
    groups += Math.ceil(matrix.rows / GROUP);
    if (matrix.form.values > 1) integers = true;
    if (matrix.special) careful = Math.max(careful, matrix.form.rowBytes);
  }
  using scope = new Scope(heap);
  const stride = scratchBytes(few, columns, careful, rows > 1);
  const scratch = scope.allocate(stride * engine.threads);
  const quantized = few && integers ? scope.allocate(rows * quantizedBytes(columns)) : 0;
  job.begin(0);
  const run = Math.max(1, Math.min(MOST_GROUPS, Math.floor(groups / (ITEMS_A_THREAD * engine.threads))));
  let items = 0;
  for (let index = 0; index < targets.length; index++) {
    const { matrix } = targets[index]!;
    if (matrix.columns !== columns) {
      const message = `matrix ${index} has ${matrix.columns} columns, the first ${columns}: give matrices of one x`;
      throw new HipError('invalid-shape', message, { index, columns: matrix.columns, expected: columns });
    }
    writeTarget(job, heap, index, targets[index]!, rows, items);
    items += few
      ? Math.ceil(matrix.rows / (GROUP * run))
      : Math.ceil(rows / TILE) * Math.ceil(matrix.rows / (PANELS * GROUP));
  }
  job.set(MODEL_JOB.X, xAt);
  job.set(MODEL_JOB.ROWS, rows);
  job.set(MODEL_JOB.WIDTH, columns);
  job.set(MODEL_JOB.RUN, run);
  job.set(MODEL_JOB.SCRATCH, scratch);
  job.set(MODEL_JOB.SCRATCH_STRIDE, stride);
  job.set(MODEL_JOB.QUANTIZED, quantized);
  job.set(MODEL_JOB.QUANTIZED_STRIDE, quantizedBytes(columns));
  job.set(MODEL_JOB.TARGET_COUNT, targets.length);
  if (quantized !== 0) {
    job.begin(rows);
    engine.runHere('quantize', job.at);
  }
  job.begin(items);
  engine.runShort(few ? 'linearRows' : 'linearTiles', job.at, items);
}

function writeTarget(
  job: ModelJob,
  heap: Heap,
  index: number,
  { out, matrix, bias, add }: LinearTarget,
  rows: number,
  firstItem: number,
): void {
  setTarget(job, index, {
    FIRST_ITEM: firstItem,
    TARGET_OUT: addressOf('out', out, heap, rows * matrix.rows),
    BLOCKS: blocksOf('matrix', matrix, heap),
    TYPE: matrix.form.code,
    ROW_BYTES: matrix.form.rowBytes,
    OUTPUTS: matrix.rows,
    BIAS: addressOrNone('bias', bias, heap, matrix.rows),
    ADD: add ? 1 : 0,
    SPECIAL: matrix.special ? 1 : 0,
  });
}
