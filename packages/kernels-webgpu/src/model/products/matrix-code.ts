// WGSL of products of many rows on 16×16×16 matrix units: f16 factors staged in workgroup memory, f32 sums in registers.
import { nativeMatrices, type MatrixBuffer, type MatrixDialect } from '../../attention/matrix-dialect.ts';
import { unroll, wgsl } from '../../code/wgsl.ts';
import { octetsOf } from '../octets.ts';
import { productParts, type ProductKernel } from './kernel.ts';
import { resultCode } from './matrix-results.ts';
import { MATRIX, stagedStride, stagedVectors, tileOf, type MatrixTiling } from './matrix-tiling.ts';

export interface MatrixKernel extends ProductKernel {
  readonly tiling: MatrixTiling;
  /** Lanes of a subgroup. */
  readonly lanes: number;
  /** All matrices have outputs by the four: they are written so. */
  readonly wide: boolean;
}

/** `switch` over the targets: one body serves them all, since compiling it takes drivers a second. */
const ofTarget = (count: number, body: (t: number) => string): string =>
  count === 1
    ? body(0)
    : `switch which { ${Array.from({ length: count - 1 }, (_, t) => `case ${t}u: { ${body(t)} }`).join(' ')} default: { ${body(count - 1)} } }`;

/** `x_octet(row, octet)` and `w_octet(which, row, octet)`: eight f16; 0 behind the last. */
function octetFunctions({ layout, targets }: MatrixKernel, packed: boolean, width: number): string {
  const octets = octetsOf(layout.columns);
  const pack = (m: string): string =>
    `vec4<u32>(pack2x16float(${m}[0].xy), pack2x16float(${m}[0].zw), pack2x16float(${m}[1].xy), pack2x16float(${m}[1].zw))`;
  const guard = octets % width === 0 ? '' : `if (octet >= ${octets}u) { return vec4<u32>(); } `;
  const x = packed ? `return x[row * ${octets}u + octet];` : `let m = x8(row, octet); return ${pack('m')};`;
  const w = (t: number): string =>
    layout.type === 'F16'
      ? `return w${t}[row * ${layout.rowBytes / 16}u + octet];`
      : `let m = weights${t}(row, octet); return ${pack('m')};`;
  return `fn x_octet(row: u32, octet: u32) -> vec4<u32> { ${guard}${x} }
fn w_octet(which: u32, row: u32, octet: u32) -> vec4<u32> { ${guard}${ofTarget(targets.length, w)} }`;
}

/**
 * The module: the next columns are read into registers while those staged are multiplied. Gate and up share a workgroup's outputs by
 * halves, and each subgroup holds the same outputs of both.
 */
export function matrixKernelCode(kernel: MatrixKernel, dialect: MatrixDialect = nativeMatrices()): string {
  const { tiling, lanes, targets, layout, gate, wide } = kernel;
  const { rowSubgroups, outputSubgroups, rowMatrices, outputMatrices, depth } = tiling;
  const { code, x } = productParts(kernel, { enables: dialect.header, wide });
  const gated = gate !== undefined;
  const tile = tileOf(tiling);
  /** Outputs of one matrix that a workgroup, and a subgroup, computes. */
  const outputs = gated ? tile.outputs / 2 : tile.outputs;
  const subgroupOutputs = outputs / outputSubgroups;
  const threads = rowSubgroups * outputSubgroups * lanes;
  const width = depth / 8;
  const stride = stagedStride(tiling);
  const steps = Math.ceil(octetsOf(layout.columns) / width);
  const staged: MatrixBuffer = { name: 'staged', element: 'vec4<u32>' };
  const cells = Array.from({ length: rowMatrices * outputMatrices }, (_, i) => [
    Math.floor(i / outputMatrices),
    i % outputMatrices,
  ]);

  /** Octets of one side that each thread moves. */
  const moves = (count: number): readonly number[] =>
    Array.from({ length: Math.ceil((count * width) / threads) }, (_, i) => i);
  const within = (count: number, i: number, body: string): string =>
    (i + 1) * threads <= count * width ? body : `if (thread + ${i * threads}u < ${count * width}u) { ${body} }`;
  const at = (i: number): string => (i === 0 ? 'thread' : `(thread + ${i * threads}u)`);
  const column = (i: number, step: string): string => `(${step}) * ${width}u + ${at(i)} % ${width}u`;
  /** Gate's and up's rows come in whole moves: the planner sees to it. */
  const weights = (i: number, step: string): string => {
    const matrix = gated ? `${Math.floor((i * threads) / (outputs * width))}u` : 'which';
    const row = `firstOutput + ${at(i)} / ${width}u${gated ? ` % ${outputs}u` : ''}`;
    return `w_octet(${matrix}, min(${row}, outputs - 1u), ${column(i, step)})`;
  };
  const fetch = (step: string): string =>
    [
      ...moves(tile.rows).map((i) => {
        const row = `min(firstRow + ${at(i)} / ${width}u, params.rows - 1u)`;
        return within(tile.rows, i, `heldX${i} = x_octet(${row}, ${column(i, step)});`);
      }),
      ...moves(tile.outputs).map((i) => within(tile.outputs, i, `heldW${i} = ${weights(i, step)};`)),
    ].join('\n    ');
  const place = (first: number, i: number): string =>
    `staged[${first > 0 ? `${first}u + ` : ''}${at(i)} / ${width}u * ${stride}u + ${at(i)} % ${width}u]`;
  const put = [
    ...moves(tile.rows).map((i) => within(tile.rows, i, `${place(0, i)} = heldX${i};`)),
    ...moves(tile.outputs).map((i) => within(tile.outputs, i, `${place(tile.rows * stride, i)} = heldW${i};`)),
  ].join('\n    ');
  /** The staged row at which a subgroup's right matrix j begins, from its first. */
  const rightRow = (j: number): number => {
    const half = outputMatrices / 2;
    return gated && j >= half ? outputs + (j - half) * MATRIX : j * MATRIX;
  };
  const left = (i: number, k: number): string =>
    dialect.load('left', staged, `rowPart + ${i * MATRIX * stride + 2 * k}u`, `${stride}u`, 'row_major');
  const right = (j: number, k: number): string =>
    dialect.load('right', staged, `outputPart + ${rightRow(j) * stride + 2 * k}u`, `${stride}u`, 'col_major');
  const multiply = unroll(
    depth / MATRIX,
    (k) => `${unroll(rowMatrices, (i) => `let a${k}_${i} = ${left(i, k)};`, '\n    ')}
    ${unroll(
      outputMatrices,
      (j) => `let b${k}_${j} = ${right(j, k)};
    ${unroll(rowMatrices, (i) => `s${i}_${j} = ${dialect.multiplyAdd(`a${k}_${i}`, `b${k}_${j}`, `s${i}_${j}`)};`, ' ')}`,
      '\n    ',
    )}`,
    '\n    ',
  );
  const count = gated ? 1 : targets.length;
  /** The last target that begins at this workgroup or before it. */
  const choose = Array.from(
    { length: count - 1 },
    (_, t) => `if (group.x >= params.starts[${t + 1}]) { which = ${t + 1}u; }`,
  ).join(' ');
  const body = `  ${count > 1 ? `var which = 0u;\n  ${choose}` : 'const which = 0u;'}
  let outputs = params.outputs[which];
  let firstRow = group.y * ${tile.rows}u;
  let firstOutput = (group.x${count > 1 ? ' - params.starts[which]' : ''}) * ${outputs}u;
  let rowSubgroup = subgroup / ${outputSubgroups}u;
  let outputSubgroup = subgroup % ${outputSubgroups}u;
  let rowPart = rowSubgroup * ${rowMatrices * MATRIX * stride}u;
  let outputPart = ${tile.rows * stride}u + outputSubgroup * ${subgroupOutputs * stride}u;
  ${moves(tile.rows)
    .map((i) => `var heldX${i}: vec4<u32>;`)
    .join(' ')}
  ${moves(tile.outputs)
    .map((i) => `var heldW${i}: vec4<u32>;`)
    .join(' ')}
  ${cells.map(([i, j]) => dialect.zero(`s${i}_${j}`)).join(' ')}
  ${fetch('0u')}
  ${put}
  workgroupBarrier();
  for (var step = 0u; step < ${steps}u; step++) {
    if (step + 1u < ${steps}u) {
    ${fetch('step + 1u')}
    }
    ${multiply}
    workgroupBarrier();
    if (step + 1u < ${steps}u) {
    ${put}
    }
    workgroupBarrier();
  }
  ${resultCode({ tiling, lanes, dialect, staged, gated, wide })}`;
  const finish = (name: string, type: string): string =>
    `fn ${name}(which: u32, row: u32, output: u32, value: ${type}) { ${ofTarget(count, (t) => `${name}${t}(row, output, value);`)} }`;
  return wgsl(
    code,
    octetFunctions(kernel, x.packed, width),
    gated ? '' : finish(wide ? 'finish_wide' : 'finish', wide ? 'vec4<f32>' : 'f32'),
    `var<workgroup> staged: array<vec4<u32>, ${stagedVectors(tiling)}>;`,
    dialect.functions(),
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
${body}
}`,
  );
}
