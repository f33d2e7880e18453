// Column sums, layer norm and RMS norm on WebGPU: one workgroup per row, or per block of rows and columns.
import type * as tf from '@tensorflow/tfjs';
import { groupsFor, reduction, runKernel } from './program.ts';
import type { Kernel } from './program.ts';

const ROW = 64;
/** A workgroup of a column sum: so many columns side by side, and so many rows at a time. */
const COLUMNS = 32;
const LANES = 8;
/** Rows that a workgroup of a column sum adds up. */
const CHUNK = 256;

const rowIndex = `
      let tid = i32(localId.x);
      let row = min(index / ${ROW}, uniforms.rows - 1);
      let base = row * uniforms.columns;`;
const shape = { rows: 'i', columns: 'i' } as const;

/** What a column sum adds up: x itself, or dy · n with n the normalised x. */
const columnTerms = {
  plain: { inputs: ['x'], term: 'x[at]' },
  layer: { inputs: ['x', 'y', 'stats'], term: 'y[at] * (x[at] - stats[2 * row]) * stats[2 * row + 1]' },
} as const;

function columnKernel(terms: keyof typeof columnTerms): Kernel {
  const { inputs, term } = columnTerms[terms];
  return {
    name: `column-sum-${terms}`,
    inputs,
    uniforms: shape,
    workgroupSize: COLUMNS * LANES,
    code: `
    var<workgroup> lanes : array<f32, ${COLUMNS * LANES}>;
    fn term(row : i32, column : i32) -> f32 {
      let at = row * uniforms.columns + column;
      return ${term};
    }
    fn main(index : i32) {
      let tid = i32(localId.x);
      let group = index / ${COLUMNS * LANES};
      let blocks = (uniforms.columns + ${COLUMNS - 1}) / ${COLUMNS};
      let column = group % blocks * ${COLUMNS} + tid % ${COLUMNS};
      let lane = tid / ${COLUMNS};
      let chunk = group / blocks;
      let inside = column < uniforms.columns && chunk * ${CHUNK} < uniforms.rows;
      var sums = vec4<f32>();
      if (inside) {
        let end = min(uniforms.rows, (chunk + 1) * ${CHUNK});
        var row = chunk * ${CHUNK} + lane;
        // Four loads under way at a time.
        for (; row + ${3 * LANES} < end; row += ${4 * LANES}) {
          sums += vec4(term(row, column), term(row + ${LANES}, column), term(row + ${2 * LANES}, column), term(row + ${3 * LANES}, column));
        }
        for (; row < end; row += ${LANES}) { sums.x += term(row, column); }
      }
      lanes[tid] = sums.x + sums.y + sums.z + sums.w;
      workgroupBarrier();
      if (lane == 0 && inside) {
        var sum = 0.0;
        for (var l = 0; l < ${LANES}; l++) { sum += lanes[l * ${COLUMNS} + tid]; }
        result[chunk * uniforms.columns + column] = sum;
      }
    }`,
  };
}

const COLUMN_KERNELS = { plain: columnKernel('plain'), layer: columnKernel('layer') };

/** Sum over the rows of [N, D], in passes of {@link CHUNK} rows, in a fixed order. */
function sumColumns(
  terms: keyof typeof columnTerms,
  inputs: readonly tf.Tensor[],
  rows: number,
  columns: number,
): tf.Tensor1D {
  const chunks = Math.ceil(rows / CHUNK);
  const dispatch = { inputs, uniforms: [rows, columns], groups: groupsFor(columns, COLUMNS) * chunks };
  if (chunks === 1) return runKernel<tf.Rank.R1>(COLUMN_KERNELS[terms], [columns], dispatch);
  const partial = runKernel<tf.Rank.R2>(COLUMN_KERNELS[terms], [chunks, columns], dispatch);
  return sumColumns('plain', [partial], chunks, columns);
}

/** Σ over rows of x [N, D]: the gradient of a bias. */
export function columnSum(x: tf.Tensor2D): tf.Tensor1D {
  return sumColumns('plain', [x], x.shape[0], x.shape[1]);
}

/** Per row mean and 1/√(variance + ε); of an RMS norm 0 and 1/√(mean square + ε). */
const STATS = `
      var sum = 0.0;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) { sum += x[base + c]; }
      let mean = select(group_sum(sum, tid) / f32(uniforms.columns), 0.0, uniforms.rms == 1);
      var squares = 0.0;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) { let d = x[base + c] - mean; squares += d * d; }
      let inverse = inverseSqrt(group_sum(squares, tid) / f32(uniforms.columns) + uniforms.epsilon);`;
const normUniforms = { ...shape, rms: 'i', epsilon: 'f' } as const;

const NORM: Kernel = {
  name: 'norm',
  inputs: ['x', 'w', 'b'],
  uniforms: normUniforms,
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn main(index : i32) {${rowIndex}${STATS}
      for (var c = tid; c < uniforms.columns; c += ${ROW}) {
        var value = (x[base + c] - mean) * inverse * w[c];
        if (uniforms.rms == 0) { value += b[c]; }
        result[base + c] = value;
      }
    }`,
};

const NORM_STATS: Kernel = {
  name: 'norm-stats',
  inputs: ['x'],
  uniforms: normUniforms,
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn main(index : i32) {${rowIndex}${STATS}
      if (tid == 0) { result[2 * row] = mean; result[2 * row + 1] = inverse; }
    }`,
};

const NORM_GRADIENT: Kernel = {
  name: 'norm-gradient',
  inputs: ['x', 'w', 'dy', 'stats'],
  uniforms: { ...shape, rms: 'i' },
  workgroupSize: ROW,
  code: `${reduction(ROW)}
    fn main(index : i32) {${rowIndex}
      let mean = stats[2 * row];
      let inverse = stats[2 * row + 1];
      var sum = 0.0;
      var product = 0.0;
      for (var c = tid; c < uniforms.columns; c += ${ROW}) {
        let d = dy[base + c] * w[c];
        sum += d;
        product += d * (x[base + c] - mean) * inverse;
      }
      let along = group_sum(product, tid) / f32(uniforms.columns);
      let centre = select(group_sum(sum, tid) / f32(uniforms.columns), 0.0, uniforms.rms == 1);
      for (var c = tid; c < uniforms.columns; c += ${ROW}) {
        let n = (x[base + c] - mean) * inverse;
        result[base + c] = (dy[base + c] * w[c] - centre - n * along) * inverse;
      }
    }`,
};

/** Layer norm of x [N, D], or RMS norm without a bias: one dispatch. */
export function norm(x: tf.Tensor2D, weight: tf.Tensor1D, bias: tf.Tensor1D | undefined, epsilon: number): tf.Tensor2D {
  const [rows, columns] = x.shape;
  const uniforms = [rows, columns, bias ? 0 : 1, epsilon];
  return runKernel<tf.Rank.R2>(NORM, [rows, columns], { inputs: [x, weight, bias ?? weight], uniforms, groups: rows });
}

/** Gradients of {@link norm} in x, weight and (layer norm) bias. */
export function normGradients(
  dy: tf.Tensor2D,
  x: tf.Tensor2D,
  weight: tf.Tensor1D,
  epsilon: number,
  rms: boolean,
): tf.Tensor[] {
  const [rows, columns] = x.shape;
  const flag = rms ? 1 : 0;
  const stats = runKernel<tf.Rank.R2>(NORM_STATS, [rows, 2], {
    inputs: [x],
    uniforms: [rows, columns, flag, epsilon],
    groups: rows,
  });
  const dx = runKernel<tf.Rank.R2>(NORM_GRADIENT, [rows, columns], {
    inputs: [x, weight, dy, stats],
    uniforms: [rows, columns, flag],
    groups: rows,
  });
  const dWeight = sumColumns('layer', [x, dy, stats], rows, columns);
  return rms ? [dx, dWeight] : [dx, dWeight, columnSum(dy)];
}
