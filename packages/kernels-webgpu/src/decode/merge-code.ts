// Merges the parts of each row and head into the output.
import { bindings, wgsl } from '../code/wgsl.ts';
import type { ElementType } from '../device/features.ts';
import { octetArray, octetFunctions, storeOctet } from '../search/code/octets.ts';
import { DECODE, momentBindings, momentCode } from './code.ts';

export const MERGE_LANES = 128;

/** Bindings: decode, parts, out. One workgroup per (head, row, batch); rows without keys give 0. */
export function mergeCode({
  headDim,
  type,
  together = 0,
}: {
  readonly headDim: number;
  readonly type: ElementType;
  /** Sequences of which each has one row. @defaultValue one, with any rows */
  readonly together?: number | undefined;
}): string {
  const octets = headDim / 8;
  const teams = Math.floor(MERGE_LANES / octets);
  return wgsl(
    DECODE.declaration,
    bindings([
      ...momentBindings(together),
      'var<storage, read> parts: array<vec4f>',
      `var<storage, read_write> out: ${octetArray(type)}`,
    ]),
    octetFunctions(type),
    momentCode(together),
    `var<workgroup> sums: array<vec4f, ${2 * MERGE_LANES}>;
var<workgroup> weights: array<f32, ${MERGE_LANES}>;
@compute @workgroup_size(${MERGE_LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  ${together > 0 ? 'let decode = choose_moment(group.z);\n  let row = 0u;' : 'let row = group.z * decode.queries + group.y;'}
  let part = (${together > 0 ? 'group.z' : 'row'} * decode.heads + group.x) * decode.allSplits;
  let c = lane % ${octets}u;
  let team = lane / ${octets}u;
  var top = -3.4e38f;
  for (var s = lane; s < decode.allSplits; s += ${MERGE_LANES}u) { top = max(top, parts[(part + s) * ${2 * octets + 1}u + ${2 * octets}u].x); }
  weights[lane] = top;
  workgroupBarrier();
  for (var s = 0u; s < min(decode.allSplits, ${MERGE_LANES}u); s++) { top = max(top, weights[s]); }
  workgroupBarrier();
  var lo = vec4f(0.0);
  var hi = vec4f(0.0);
  var total = 0.0f;
  if (team < ${teams}u) {
    for (var s = team; s < decode.allSplits; s += ${teams}u) {
      let at = (part + s) * ${2 * octets + 1}u;
      let weight = parts[at + ${2 * octets}u];
      let scale = exp2(weight.x - top);
      total += weight.y * scale;
      lo += scale * parts[at + 2u * c];
      hi += scale * parts[at + 2u * c + 1u];
    }
  }
  sums[2u * lane] = lo;
  sums[2u * lane + 1u] = hi;
  weights[lane] = total;
  workgroupBarrier();
  if (lane >= ${octets}u) { return; }
  for (var t = 1u; t < ${teams}u; t++) {
    lo += sums[2u * (t * ${octets}u + lane)];
    hi += sums[2u * (t * ${octets}u + lane) + 1u];
    total += weights[t * ${octets}u];
  }
  let scale = select(1.0f / total, 0.0f, total == 0.0f);
  let at = ((row + decode.firstRow) * decode.queryHeads + decode.headFirst + group.x) * ${octets}u + lane;
  ${storeOctet(type, 'out', 'at', 'lo * scale', 'hi * scale')}
}`,
  );
}
