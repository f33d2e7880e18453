// WGSL of products of many rows without matrix units: tiles of 64 rows × 64 outputs in f32, sixteen columns at a time.
import { unroll, wgsl } from '../../code/wgsl.ts';
import { octetsOf } from '../octets.ts';
import { productParts, type ProductKernel } from './kernel.ts';

/** Rows and outputs of a workgroup. */
export const TILE_ROWS = 64;
const THREADS = 256;
/** Octets of a staged row; one vec4 more keeps rows in different banks. */
const DEPTH = 2;
const STRIDE = 2 * DEPTH + 1;

/** The module: half of the lanes stage x, half dequantise weights; then each lane multiplies 4 rows by 4 outputs. */
export function tileKernelCode(kernel: ProductKernel): string {
  const { code } = productParts(kernel);
  const octets = octetsOf(kernel.layout.columns);
  const { targets } = kernel;
  const guard = (read: string): string =>
    octets % DEPTH === 0 ? `m = ${read};` : `if (octet < ${octets}u) { m = ${read}; }`;
  const steps = Math.ceil(octets / DEPTH);
  const cells = Array.from({ length: 16 }, (_, i) => [Math.floor(i / 4), i % 4] as const);
  const product = (t: number): string => `fn product${t}(tile: u32, rowTile: u32, thread: u32) {
  let firstRow = rowTile * ${TILE_ROWS}u;
  let firstOutput = tile * ${TILE_ROWS}u;
  let place = (thread & 127u) >> 1u;
  let side = thread & 1u;
  let column = thread & 15u;
  let line = thread >> 4u;
  ${cells.map(([i, j]) => `var s${i}_${j} = 0.0;`).join(' ')}
  for (var step = 0u; step < ${steps}u; step++) {
    let octet = step * ${DEPTH}u + side;
    var m = mat2x4<f32>();
    if (thread < 128u) {
      let row = min(firstRow + place, params.rows - 1u);
      ${guard('x8(row, octet)')}
      rowTiles[place * ${STRIDE}u + side * 2u] = m[0]; rowTiles[place * ${STRIDE}u + side * 2u + 1u] = m[1];
    } else {
      let row = min(firstOutput + place, params.outputs[${t}] - 1u);
      ${guard(`weights${t}(row, octet)`)}
      weightTiles[place * ${STRIDE}u + side * 2u] = m[0]; weightTiles[place * ${STRIDE}u + side * 2u + 1u] = m[1];
    }
    workgroupBarrier();
    for (var c = 0u; c < ${2 * DEPTH}u; c++) {
      ${unroll(4, (i) => `let x${i} = rowTiles[(line * 4u + ${i}u) * ${STRIDE}u + c];`, ' ')}
      ${unroll(4, (j) => `let y${j} = weightTiles[(column + ${16 * j}u) * ${STRIDE}u + c];`, ' ')}
      ${cells.map(([i, j]) => `s${i}_${j} += dot(x${i}, y${j});`).join(' ')}
    }
    workgroupBarrier();
  }
  ${cells
    .map(
      ([i, j]) =>
        `if (firstRow + line * 4u + ${i}u < params.rows && firstOutput + column + ${16 * j}u < params.outputs[${t}]) { finish${t}(firstRow + line * 4u + ${i}u, firstOutput + column + ${16 * j}u, s${i}_${j}); }`,
    )
    .join('\n  ')}
}`;
  const choose = targets
    .map((_, t) => {
      const call = `product${t}(group.x${t === 0 ? '' : ` - params.starts[${t}]`}, group.y, thread);`;
      return t + 1 < targets.length ? `if (group.x < params.starts[${t + 1}]) { ${call} return; }` : call;
    })
    .join('\n  ');
  return wgsl(
    code,
    `var<workgroup> rowTiles: array<vec4<f32>, ${TILE_ROWS * STRIDE}>;
var<workgroup> weightTiles: array<vec4<f32>, ${TILE_ROWS * STRIDE}>;`,
    targets.map((_, t) => product(t)).join('\n'),
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  ${choose}
}`,
  );
}
