// Products of activations with stored matrices.
import { HipError } from '@hip/mask-search';
import type { Engine } from '../runtime/engine.ts';
import { alignBytes, Scope } from '../runtime/heap.ts';
import type { Activation } from './activation.ts';
import { addressOf, addressOrNone, blocksOf, checkCounts } from './check.ts';
import { MAX_TARGETS, MODEL_JOB, TARGET_FIELDS, type ModelJob } from './job.ts';
import type { StoredMatrix } from './matrix.ts';

/** Options of {@link CpuRuntime.linear}. */
export interface LinearOptions {
  /** Rows of x and of the output. @defaultValue 1 */
  readonly rows?: number | undefined;
  /** [outputs], added to every row. */
  readonly bias?: Activation | undefined;
  /** The product is added to what the output holds. @defaultValue false */
  readonly add?: boolean | undefined;
}

/** One of the matrices that {@link CpuRuntime.linears} multiplies by the same rows. */
export interface LinearTarget extends Pick<LinearOptions, 'bias' | 'add'> {
  /** [rows, matrix rows] */
  readonly out: Activation;
  readonly matrix: StoredMatrix;
}

/** Outputs of a work item of few rows; rows and outputs of one of many: assembly/model/linear.ts. */
const RUN = 16;
const TILE = 256;
const PANELS = 4;
/** Fewer rows than this are multiplied output by output. */
const FEW_ROWS = 8;

/** Bytes of one thread's scratch. */
export function linearScratch(rows: number, columns: number): number {
  const line = alignBytes(columns * 4);
  return rows < FEW_ROWS ? line : line + alignBytes(TILE * 4 + TILE * PANELS * 32 + PANELS * columns * 32);
}

/** out = x · matrixᵀ for each target, in one job. */
export function linears(
  engine: Engine,
  job: ModelJob,
  x: Activation,
  targets: readonly LinearTarget[],
  rows: number,
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
  using scope = new Scope(heap);
  const stride = linearScratch(rows, columns);
  const scratch = scope.allocate(stride * engine.threads);
  job.begin(0);
  const few = rows < FEW_ROWS;
  let items = 0;
  for (let index = 0; index < targets.length; index++) {
    const { out, matrix, bias, add } = targets[index]!;
    if (matrix.columns !== columns) {
      const message = `matrix ${index} has ${matrix.columns} columns, the first ${columns}: give matrices of one x`;
      throw new HipError('invalid-shape', message, { index, columns: matrix.columns, expected: columns });
    }
    const at = MODEL_JOB.TARGET + index * MODEL_JOB.TARGET_BYTES;
    job.set(at + TARGET_FIELDS.FIRST_ITEM, items);
    job.set(at + TARGET_FIELDS.TARGET_OUT, addressOf('out', out, heap, rows * matrix.rows));
    job.set(at + TARGET_FIELDS.BLOCKS, blocksOf('matrix', matrix, heap));
    job.set(at + TARGET_FIELDS.TYPE, matrix.form.code);
    job.set(at + TARGET_FIELDS.ROW_BYTES, matrix.form.rowBytes);
    job.set(at + TARGET_FIELDS.OUTPUTS, matrix.rows);
    job.set(at + TARGET_FIELDS.BIAS, addressOrNone('bias', bias, heap, matrix.rows));
    job.set(at + TARGET_FIELDS.ADD, add ? 1 : 0);
    items += few ? Math.ceil(matrix.rows / RUN) : Math.ceil(rows / TILE) * Math.ceil(matrix.rows / (PANELS * 8));
  }
  job.set(MODEL_JOB.X, xAt);
  job.set(MODEL_JOB.ROWS, rows);
  job.set(MODEL_JOB.WIDTH, columns);
  job.set(MODEL_JOB.SCRATCH, scratch);
  job.set(MODEL_JOB.SCRATCH_STRIDE, stride);
  job.set(MODEL_JOB.TARGET_COUNT, targets.length);
  engine.run(few ? 'linearRows' : 'linearTiles', job.at, items);
}
