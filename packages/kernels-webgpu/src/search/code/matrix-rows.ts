// Mean rows as two vectors, [cell, group, 2, d] f16: q⁺ beside q⁻, so that the bound of a box is one dot product with (max, min); or q
// beside q², to be multiplied with means and variances.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { loadOctet, octetArray, octetFunctions, storeOctet } from './octets.ts';
import { geometryCode, type SearchConstants } from './shape.ts';

export const SPLIT_LANES = 128;

export interface SplitRowsKernel {
  readonly constants: SearchConstants;
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  /** What stands beside what. @defaultValue 'signs' */
  readonly form?: 'signs' | 'squares' | undefined;
  /** Rows per cell: blockQ / strideQ, rounded up. Absent ones repeat the last. */
  readonly groups: number;
}

/** Bindings: shape, q, split rows. Workgroups: lanes over (group, octet) × slab blocks × z. */
export function splitRowsCode({ constants, strideQ, rows, groups, form = 'signs' }: SplitRowsKernel): string {
  const { type, headDim } = constants;
  const octets = headDim / 8;
  const zero = 'vec4f(0.0)';
  const first = (half: string): string => (form === 'signs' ? `max(${half}, ${zero})` : half);
  // A square beyond f16 is its largest number.
  const second = (half: string): string =>
    form === 'signs' ? `min(${half}, ${zero})` : `min(${half} * ${half}, vec4f(65504.0))`;
  return wgsl(
    geometryCode({ ...constants, pageShift: undefined }),
    bindings([
      'var<uniform> shape: Shape',
      `var<storage, read> q: ${octetArray(type)}`,
      `var<storage, read_write> split: ${octetArray(type)}`,
    ]),
    octetFunctions(type),
    `@compute @workgroup_size(${SPLIT_LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * ${SPLIT_LANES}u + lane;
  if (i >= ${groups * octets}u) { return; }
  let block = block_at(shape.firstBlock + group.y);
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  let last = (block.rows - 1u) / ${strideQ}u;
  let r = i / ${octets}u;
  let c = i % ${octets}u;
  let start = min(r, last) * ${strideQ}u;
  let end = min(start + ${strideQ}u, block.rows);
  var lo = ${zero};
  var hi = ${zero};
  for (var row = ${rows === 'mean' ? 'start' : 'end - 1u'}; row < end; row++) {
    ${loadOctet(type, 'q', 'query_octet(batch, block.first_row + row, head) + c', 'x')}
    lo += x_lo;
    hi += x_hi;
  }
  ${rows === 'mean' ? 'lo /= f32(end - start); hi /= f32(end - start);' : ''}
  let at = ((group.z * shape.slabBlocks + group.y) * ${groups}u + r) * ${2 * octets}u + c;
  ${storeOctet(type, 'split', 'at', first('lo'), first('hi'))}
  ${storeOctet(type, 'split', `at + ${octets}u`, second('lo'), second('hi'))}
}`,
  );
}
