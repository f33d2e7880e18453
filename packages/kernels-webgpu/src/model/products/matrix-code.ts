// WGSL of products of many rows on 16×16×16 matrix units: f16 factors staged in workgroup memory, f32 sums in registers.
import { nativeMatrices, type MatrixBuffer, type MatrixDialect } from '../../attention/matrix-dialect.ts';
import { unroll, wgsl } from '../../code/wgsl.ts';
import { octetsOf } from '../octets.ts';
import { productParts, type ProductKernel } from './kernel.ts';

const MATRIX = 16;

/** How a workgroup's tile is cut: subgroups along rows and outputs, and matrices of each. */
export interface MatrixTiling {
  readonly rowSubgroups: number;
  readonly outputSubgroups: number;
  readonly rowMatrices: number;
  readonly outputMatrices: number;
  /** Columns that are staged at a time, a multiple of 16. */
  readonly depth: number;
  /** Two tiles are staged in turn, so that one barrier a step is enough. */
  readonly double: boolean;
}

export interface MatrixKernel extends ProductKernel {
  readonly tiling: MatrixTiling;
  /** Lanes of a subgroup. */
  readonly lanes: number;
}

/** Rows and outputs of a workgroup. */
export function tileOf({ rowSubgroups, outputSubgroups, rowMatrices, outputMatrices }: MatrixTiling): {
  readonly rows: number;
  readonly outputs: number;
} {
  return { rows: MATRIX * rowSubgroups * rowMatrices, outputs: MATRIX * outputSubgroups * outputMatrices };
}

/** 16-byte elements between two staged rows: one more than they hold, so that they start in different banks. */
const strideOf = ({ depth }: MatrixTiling): number => depth / 8 + 1;

/** Bytes of workgroup memory: the staged tiles, and a 16×16 result of each subgroup. */
export function matrixKernelBytes(tiling: MatrixTiling): number {
  const { rows, outputs } = tileOf(tiling);
  const staged = (rows + outputs) * strideOf(tiling) * 16 * (tiling.double ? 2 : 1);
  return staged + tiling.rowSubgroups * tiling.outputSubgroups * MATRIX * MATRIX * 4;
}

/** The module: the next columns are read into registers while those staged are multiplied. */
export function matrixKernelCode(kernel: MatrixKernel, dialect: MatrixDialect = nativeMatrices()): string {
  const { tiling, lanes, targets, layout } = kernel;
  const { rowSubgroups, outputSubgroups, rowMatrices, outputMatrices, depth, double } = tiling;
  const { code, x } = productParts(kernel, { enables: dialect.header });
  const tile = tileOf(tiling);
  const threads = rowSubgroups * outputSubgroups * lanes;
  const width = depth / 8;
  const stride = strideOf(tiling);
  const octets = octetsOf(layout.columns);
  const steps = Math.ceil(octets / width);
  const staged: MatrixBuffer = { name: 'staged', element: 'vec4<u32>' };
  const results: MatrixBuffer = { name: 'results', element: 'vec2<f32>' };
  const vectors = (tile.rows + tile.outputs) * stride;
  const cells = Array.from(
    { length: rowMatrices * outputMatrices },
    (_, i) => [Math.floor(i / outputMatrices), i % outputMatrices] as const,
  );

  const pack = (octet: string): string =>
    `vec4<u32>(pack2x16float(${octet}[0].xy), pack2x16float(${octet}[0].zw), pack2x16float(${octet}[1].xy), pack2x16float(${octet}[1].zw))`;
  const readX = x.packed ? `return x[row * ${octets}u + octet];` : `let m = x8(row, octet); return ${pack('m')};`;
  const readW = (t: number): string =>
    layout.type === 'F16'
      ? `return w${t}[row * ${layout.rowBytes / 16}u + octet];`
      : `let m = weights${t}(row, octet); return ${pack('m')};`;
  const guard = octets % width === 0 ? '' : `if (octet >= ${octets}u) { return vec4<u32>(); } `;
  const readers = `fn x_octet(row: u32, octet: u32) -> vec4<u32> { ${guard}${readX} }
${targets.map((_, t) => `fn w_octet${t}(row: u32, octet: u32) -> vec4<u32> { ${guard}${readW(t)} }`).join('\n')}`;

  /** Octets of one side that each thread moves. */
  const moves = (count: number): readonly number[] =>
    Array.from({ length: Math.ceil((count * width) / threads) }, (_, i) => i);
  const within = (count: number, i: number, body: string): string =>
    (i + 1) * threads <= count * width ? body : `if (thread + ${i * threads}u < ${count * width}u) { ${body} }`;
  const at = (i: number): string => (i === 0 ? 'thread' : `(thread + ${i * threads}u)`);
  const fetch = (t: number, step: string): string =>
    [
      ...moves(tile.rows).map((i) =>
        within(
          tile.rows,
          i,
          `heldX${i} = x_octet(min(firstRow + ${at(i)} / ${width}u, params.rows - 1u), (${step}) * ${width}u + ${at(i)} % ${width}u);`,
        ),
      ),
      ...moves(tile.outputs).map((i) =>
        within(
          tile.outputs,
          i,
          `heldW${i} = w_octet${t}(min(firstOutput + ${at(i)} / ${width}u, params.outputs[${t}] - 1u), (${step}) * ${width}u + ${at(i)} % ${width}u);`,
        ),
      ),
    ].join('\n    ');
  const put = (base: string): string =>
    [
      ...moves(tile.rows).map((i) =>
        within(tile.rows, i, `staged[${base}${at(i)} / ${width}u * ${stride}u + ${at(i)} % ${width}u] = heldX${i};`),
      ),
      ...moves(tile.outputs).map((i) =>
        within(
          tile.outputs,
          i,
          `staged[${base}${tile.rows * stride}u + ${at(i)} / ${width}u * ${stride}u + ${at(i)} % ${width}u] = heldW${i};`,
        ),
      ),
    ].join('\n    ');
  const multiply = (base: string): string =>
    unroll(
      depth / MATRIX,
      (
        k,
      ) => `${unroll(rowMatrices, (i) => `let a${k}_${i} = ${dialect.load('left', staged, `${base}rowPart + ${i * MATRIX * stride + 2 * k}u`, `${stride}u`, 'row_major')};`, '\n    ')}
    ${unroll(
      outputMatrices,
      (j) =>
        `let b${k}_${j} = ${dialect.load('right', staged, `${base}outputPart + ${j * MATRIX * stride + 2 * k}u`, `${stride}u`, 'col_major')};
    ${unroll(rowMatrices, (i) => `s${i}_${j} = ${dialect.multiplyAdd(`a${k}_${i}`, `b${k}_${j}`, `s${i}_${j}`)};`, ' ')}`,
      '\n    ',
    )}`,
      '\n    ',
    );
  const loop = (t: number): string =>
    double
      ? `for (var step = 0u; step < ${steps}u; step++) {
    let base = (step & 1u) * ${vectors}u;
    if (step + 1u < ${steps}u) {
    ${fetch(t, 'step + 1u')}
    }
    ${multiply('base + ')}
    if (step + 1u < ${steps}u) {
    ${put(`${vectors}u - base + `)}
    }
    workgroupBarrier();
  }`
      : `for (var step = 0u; step < ${steps}u; step++) {
    if (step + 1u < ${steps}u) {
    ${fetch(t, 'step + 1u')}
    }
    ${multiply('')}
    workgroupBarrier();
    if (step + 1u < ${steps}u) {
    ${put('')}
    }
    workgroupBarrier();
  }`;
  const product = (
    t: number,
  ): string => `fn product${t}(tile: u32, rowTile: u32, thread: u32, subgroup: u32, lane: u32) {
  let firstRow = rowTile * ${tile.rows}u;
  let firstOutput = tile * ${tile.outputs}u;
  let rowSubgroup = subgroup / ${outputSubgroups}u;
  let outputSubgroup = subgroup % ${outputSubgroups}u;
  let rowPart = rowSubgroup * ${rowMatrices * MATRIX * stride}u;
  let outputPart = ${tile.rows * stride}u + outputSubgroup * ${outputMatrices * MATRIX * stride}u;
  ${moves(tile.rows)
    .map((i) => `var heldX${i}: vec4<u32>;`)
    .join(' ')}
  ${moves(tile.outputs)
    .map((i) => `var heldW${i}: vec4<u32>;`)
    .join(' ')}
  ${cells.map(([i, j]) => dialect.zero(`s${i}_${j}`)).join(' ')}
  ${fetch(t, '0u')}
  ${put('')}
  workgroupBarrier();
  ${loop(t)}
  let resultBase = subgroup * ${(MATRIX * MATRIX) / 2}u;
  ${cells
    .map(
      ([i, j]) => `${dialect.store(results, 'resultBase', `s${i}_${j}`, `${MATRIX / 2}u`)}
  workgroupBarrier();
  for (var cell = lane; cell < ${(MATRIX * MATRIX) / 2}u; cell += ${lanes}u) {
    let value = results[resultBase + cell];
    let row = firstRow + (rowSubgroup * ${rowMatrices}u + ${i}u) * ${MATRIX}u + cell / ${MATRIX / 2}u;
    let output = firstOutput + (outputSubgroup * ${outputMatrices}u + ${j}u) * ${MATRIX}u + cell % ${MATRIX / 2}u * 2u;
    if (row < params.rows) {
      if (output < params.outputs[${t}]) { finish${t}(row, output, value.x); }
      if (output + 1u < params.outputs[${t}]) { finish${t}(row, output + 1u, value.y); }
    }
  }
  workgroupBarrier();`,
    )
    .join('\n  ')}
}`;
  const choose = targets
    .map((_, t) => {
      const call = `product${t}(group.x${t === 0 ? '' : ` - params.starts[${t}]`}, group.y, thread, subgroup, lane);`;
      return t + 1 < targets.length ? `if (group.x < params.starts[${t + 1}]) { ${call} return; }` : call;
    })
    .join('\n  ');
  const products = targets.map((_, t) => product(t)).join('\n');
  return wgsl(
    code,
    readers,
    `var<workgroup> staged: array<vec4<u32>, ${vectors * (double ? 2 : 1)}>;
var<workgroup> results: array<vec2<f32>, ${rowSubgroups * outputSubgroups * ((MATRIX * MATRIX) / 2)}>;`,
    dialect.functions(),
    products,
    `@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
  ${choose}
}`,
  );
}
