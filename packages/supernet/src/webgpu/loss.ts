// Cross-entropy with distillation, and embedding gradients, on WebGPU.
import * as tf from '@tensorflow/tfjs';
import { groupsFor, reduction, runInPlace, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const ROW = 128;

const rowStart = `
      let tid = i32(localId.x);
      let row = min(index / ${ROW}, uniforms.rows - 1);
      let base = row * uniforms.columns;`;
const logSumExp = `
      var largest = -3.4e38;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) { largest = max(largest, z[base + c]); }
      largest = group_max(largest, tid);
      var sum = 0.0;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) { sum += exp(z[base + c] - largest); }
      let lse = largest + log(group_sum(sum, tid));`;

/** Rows of the objective, and the log Σ exp of z and of z/ρ: [3, N]. */
const rowsKernel = (taught: boolean): Kernel => ({
  name: `objective-rows${taught ? '-taught' : ''}`,
  inputs: taught ? ['z', 'labels', 'weights', 'teacher', 'entropy'] : ['z', 'labels', 'weights'],
  uniforms: { rows: 'i', columns: 'i', hard: 'f', soft: 'f', inverse: 'f' },
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn main(index : i32) {${rowStart}${logSumExp}
      var cross = 0.0;
      var softer = lse;
      ${
        taught
          ? `var sharper = 0.0;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) {
        cross += teacher[base + c] * z[base + c] * uniforms.inverse;
        sharper += exp((z[base + c] - largest) * uniforms.inverse);
      }
      softer = largest * uniforms.inverse + log(group_sum(sharper, tid));`
          : ''
      }
      cross = group_sum(cross, tid);
      if (tid == 0) {
        var value = uniforms.hard * (lse - z[base + labels[2 * row + 1]]);
        ${taught ? 'value += uniforms.soft / (uniforms.inverse * uniforms.inverse) * (entropy[row] - cross + softer);' : ''}
        result[row] = value * weights[row];
        result[uniforms.rows + row] = lse;
        result[2 * uniforms.rows + row] = softer;
      }
    }`,
});

const slopeKernel = (taught: boolean): Kernel => ({
  name: `objective-slope${taught ? '-taught' : ''}`,
  inputs: taught ? ['z', 'labels', 'weights', 'lse', 'teacher'] : ['z', 'labels', 'weights', 'lse'],
  uniforms: { count: 'i', rows: 'i', columns: 'i', hard: 'f', soft: 'f', inverse: 'f' },
  workgroupSize: ROW,
  code: `
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }
      let row = index / uniforms.columns;
      var value = uniforms.hard * exp(z[index] - lse[uniforms.rows + row]);
      if (index - row * uniforms.columns == labels[2 * row + 1]) { value -= uniforms.hard; }
      ${
        taught
          ? `let student = exp(z[index] * uniforms.inverse - lse[2 * uniforms.rows + row]);
      value += uniforms.soft / uniforms.inverse * (student - teacher[index]);`
          : ''
      }
      result[index] = value * weights[row];
    }`,
});

const SUM: Kernel = {
  name: 'sum-first',
  inputs: ['x'],
  uniforms: { count: 'i' },
  workgroupSize: 256,
  code: `${reduction(256)}
    fn main(index : i32) {
      let tid = i32(localId.x);
      var sum = 0.0;
      for (var i = tid; i < uniforms.count; i += 256) { sum += x[i]; }
      let total = group_sum(sum, tid);
      if (tid == 0) { result[0] = total; }
    }`,
};

const PLAIN = { rows: rowsKernel(false), slope: slopeKernel(false) };
const TAUGHT = { rows: rowsKernel(true), slope: slopeKernel(true) };

/**
 * Value and slope of the objective in three dispatches. `weights` [N] already hold row weight / normalizer; `labels`
 * are (row, label) pairs.
 */
export function objective(
  z: tf.Tensor2D,
  labels: tf.Tensor2D,
  weights: tf.Tensor1D,
  hard: number,
  soft: number,
  teacher?: {
    readonly probabilities: tf.Tensor2D;
    readonly negativeEntropy: tf.Tensor1D;
    readonly temperature: number;
  },
): { value: tf.Scalar; slope: tf.Tensor2D } {
  const [rows, columns] = z.shape;
  const kernels = teacher ? TAUGHT : PLAIN;
  const share = teacher ? soft : 0;
  const inverse = 1 / (teacher?.temperature ?? 1);
  const values = runKernel<tf.Rank.R2>(kernels.rows, [3, rows], {
    inputs: [z, labels, weights, ...(teacher ? [teacher.probabilities, teacher.negativeEntropy] : [])],
    uniforms: [rows, columns, hard, share, inverse],
    groups: rows,
  });
  const slope = runKernel<tf.Rank.R2>(kernels.slope, [rows, columns], {
    inputs: [z, labels, weights, values, ...(teacher ? [teacher.probabilities] : [])],
    uniforms: [z.size, rows, columns, hard, share, inverse],
    groups: groupsFor(z.size, ROW),
  });
  const value = runKernel<tf.Rank.R0>(SUM, [] as never, { inputs: [values], uniforms: [rows], groups: 1 });
  return { value, slope };
}

const ENTROPY: Kernel = {
  name: 'negative-entropy',
  inputs: ['z'],
  uniforms: { rows: 'i', columns: 'i' },
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn main(index : i32) {${rowStart}${logSumExp}
      var mean = 0.0;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) { mean += exp(z[base + c] - lse) * z[base + c]; }
      mean = group_sum(mean, tid);
      if (tid == 0) { result[row] = mean - lse; }
    }`,
};

/** Σ p·log p of softmax(z) per row of z [N, V]. */
export function negativeEntropy(z: tf.Tensor2D): tf.Tensor1D {
  const [rows, columns] = z.shape;
  return runKernel<tf.Rank.R1>(ENTROPY, [rows], { inputs: [z], uniforms: [rows, columns], groups: rows });
}

/** Ids that a workgroup of {@link SCATTER} looks at together, and columns it adds up together. */
const TILE = 256;
/** Rows noted before they are added up; at least a tile. */
const NOTED = 1024;

/**
 * A workgroup per row: unless an earlier row has its id, it notes the rows with that id in order and adds them up. No
 * atomics on values, so runs repeat.
 */
const SCATTER: Kernel = {
  name: 'scatter-rows',
  inputs: ['ids', 'dy'],
  uniforms: { rows: 'i', columns: 'i' },
  workgroupSize: TILE,
  code: `
    var<workgroup> group_row : i32;
    var<workgroup> earlier : atomic<u32>;
    var<workgroup> known : u32;
    var<workgroup> bits : array<atomic<u32>, ${TILE / 32}>;
    var<workgroup> noted : array<i32, ${NOTED}>;
    fn main(index : i32) {
      let tid = i32(localId.x);
      if (tid == 0) { group_row = index / ${TILE}; }
      // Barriers below: the compiler must see that all invocations have the same row.
      let row = workgroupUniformLoad(&group_row);
      if (row >= uniforms.rows) { return; }
      let id = ids[row];
      for (var other = tid; other < row; other += ${TILE}) {
        if (ids[other] == id) { atomicStore(&earlier, 1u); }
      }
      workgroupBarrier();
      if (tid == 0) { known = atomicLoad(&earlier); }
      if (workgroupUniformLoad(&known) != 0u) { return; }
      for (var first = 0; first < uniforms.columns; first += ${TILE}) {
        let column = first + tid;
        var sum = 0.0;
        var count = 0;
        for (var tile = row; tile < uniforms.rows; tile += ${TILE}) {
          let other = tile + tid;
          let same = other < uniforms.rows && ids[min(other, uniforms.rows - 1)] == id;
          if (tid < ${TILE / 32}) { atomicStore(&bits[tid], 0u); }
          workgroupBarrier();
          if (same) { atomicOr(&bits[tid / 32], 1u << u32(tid % 32)); }
          workgroupBarrier();
          var before = 0;
          var all = 0;
          for (var word = 0; word < ${TILE / 32}; word++) {
            let found = atomicLoad(&bits[word]);
            let ones = i32(countOneBits(found));
            if (word < tid / 32) { before += ones; }
            if (word == tid / 32) { before += i32(countOneBits(found & ((1u << u32(tid % 32)) - 1u))); }
            all += ones;
          }
          if (same) { noted[count + before] = other; }
          count += all;
          workgroupBarrier();
          if (count > ${NOTED - TILE} || tile + ${TILE} >= uniforms.rows) {
            if (column < uniforms.columns) {
              var i = 0;
              for (; i + 4 <= count; i += 4) {
                let four = vec4(dy[noted[i] * uniforms.columns + column], dy[noted[i + 1] * uniforms.columns + column],
                  dy[noted[i + 2] * uniforms.columns + column], dy[noted[i + 3] * uniforms.columns + column]);
                sum += four.x + four.y + four.z + four.w;
              }
              for (; i < count; i++) { sum += dy[noted[i] * uniforms.columns + column]; }
            }
            count = 0;
          }
        }
        if (column < uniforms.columns) { result[id * uniforms.columns + column] = sum; }
      }
    }`,
};

/** Sum of the rows of dy [N, D] into a table [V, D] at ids [N] int32. */
export function scatterRows(dy: tf.Tensor2D, ids: tf.Tensor1D, shape: [number, number]): tf.Tensor2D {
  const table = tf.fill(shape, 0);
  runInPlace(SCATTER, table, { inputs: [ids, dy], uniforms: [dy.shape[0], shape[1]], groups: dy.shape[0] });
  return table as tf.Tensor2D;
}
