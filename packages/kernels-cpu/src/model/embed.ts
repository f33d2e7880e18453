// Rows of a stored matrix, looked up.
import { HipError } from '@hip/mask-search';
import type { Engine } from '../runtime/engine.ts';
import { alignBytes, Scope } from '../runtime/heap.ts';
import type { Activation } from './activation.ts';
import { addressOf, blocksOf, checkNumber } from './check.ts';
import { MODEL_JOB, setTarget, type ModelJob } from './job.ts';
import type { StoredMatrix } from './matrix.ts';

/** Ids below which the calling thread does the work alone. */
const ALONE = 16;

export function embed(
  engine: Engine,
  job: ModelJob,
  out: Activation,
  matrix: StoredMatrix,
  ids: ArrayLike<number>,
  scale: number,
): void {
  checkNumber('scale', scale);
  const { heap } = engine;
  const { columns, form, rows } = matrix;
  const outAt = addressOf('out', out, heap, ids.length * columns);
  const blocks = blocksOf('matrix', matrix, heap);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (Number.isInteger(id) && id >= 0 && id < rows) continue;
    const message = `ids[${i}] is ${id}: give integers from 0 to ${rows - 1}`;
    throw new HipError('invalid-shape', message, { name: 'ids', index: i, value: id, rows });
  }
  if (ids.length === 0) return;
  using scope = new Scope(heap);
  const idsAt = scope.allocate(ids.length * 4);
  heap.ints(idsAt, ids.length).set(ids);
  const stride = alignBytes(form.rowBytes);
  const scratch = scope.allocate(stride * engine.threads);
  job.begin(ids.length);
  job.set(MODEL_JOB.OUT, outAt);
  job.set(MODEL_JOB.WIDTH, columns);
  job.set(MODEL_JOB.IDS, idsAt);
  job.setFloat(MODEL_JOB.FACTOR, scale);
  job.set(MODEL_JOB.SCRATCH, scratch);
  job.set(MODEL_JOB.SCRATCH_STRIDE, stride);
  setTarget(job, 0, { BLOCKS: blocks, TYPE: form.code, ROW_BYTES: form.rowBytes });
  if (ids.length < ALONE) engine.runHere('embed', job.at);
  else engine.run('embed', job.at, ids.length);
}
