// A row's pseudo-keys as one more part of its split keys: merged with the others like any part.
import { capFunction, LOWEST } from '../code/softmax.ts';
import { bindings, wgsl } from '../code/wgsl.ts';
import type { ElementType } from '../device/features.ts';
import { loadOctet, octetArray } from '../search/code/octets.ts';
import { meanAt, meansBinding } from '../remainder/stored-means.ts';
import { DECODE } from './code.ts';

/** Lanes of a workgroup. */
export const PSEUDO_PART_LANES = 128;

/** Pseudo-keys of a row at most: their weights are held in workgroup memory. */
export const MOST_PSEUDO_KEYS = 2048;

export interface PseudoPartKernel {
  readonly headDim: number;
  readonly type: ElementType;
  /** Query heads per kv head. */
  readonly group: number;
  readonly softcap: boolean;
  /** Rows of a head's means, and pseudo-keys for which a cell has room. */
  readonly meanRows: number;
  readonly most: number;
}

/** Bindings: decode, q, means, pseudo, parts. Workgroups: heads × rows × batch. The part is each row's last. */
export function pseudoPartCode({ headDim, type, group, softcap, meanRows, most }: PseudoPartKernel): string {
  const octets = headDim / 8;
  const lanes = PSEUDO_PART_LANES;
  return wgsl(
    DECODE.declaration,
    bindings([
      'var<uniform> decode: Decode',
      `var<storage, read> q: ${octetArray(type)}`,
      meansBinding(type),
      'var<storage, read> pseudo: array<vec2u>',
      'var<storage, read_write> parts: array<vec4f>',
    ]),
    meanAt(type),
    softcap && capFunction('decode.cap', '15.0'),
    `var<workgroup> query: array<vec4f, ${2 * octets}>;
var<workgroup> weights: array<f32, ${most}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  let row = group.y;
  let batch = group.z;
  let query_at = ((batch * decode.queries + row + decode.firstRow) * decode.queryHeads + decode.headFirst + head) * ${octets}u;
  for (var c = lane; c < ${octets}u; c += ${lanes}u) {
    ${loadOctet(type, 'q', 'query_at + c', 'x')}
    query[2u * c] = x_lo;
    query[2u * c + 1u] = x_hi;
  }
  let list = ((batch * decode.maskHeads + select(decode.headFirst + head, 0u, decode.maskHeads == 1u)) * decode.queryBlocks + row / decode.blockQ) * ${most + 1}u;
  let count = pseudo[list].x;
  let base = (batch * decode.kvHeads + head / ${group}u) * ${meanRows}u;
  workgroupBarrier();
  for (var i = lane; i < count; i += ${lanes}u) {
    let known = pseudo[list + 1u + i];
    let mean = (base + known.x) * ${4 * octets}u;
    var sum = 0.0f;
    for (var c = 0u; c < ${2 * octets}u; c++) { sum += dot(query[c], mean_at(mean + c)); }
    weights[i] = ${softcap ? 'capped(sum * decode.scale)' : 'sum * decode.scale'} + bitcast<f32>(known.y);
  }
  workgroupBarrier();
  var top = ${LOWEST};
  for (var i = 0u; i < count; i++) { top = max(top, weights[i]); }
  let part = (((batch * decode.queries + row) * decode.heads + head) * decode.allSplits + decode.allSplits - 1u) * ${2 * octets + 1}u;
  for (var c = lane; c < ${2 * octets}u; c += ${lanes}u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < count; i++) {
      sum += exp2(weights[i] - top) * mean_at((base + pseudo[list + 1u + i].x) * ${4 * octets}u + ${2 * octets}u + c);
    }
    parts[part + c] = sum;
  }
  if (lane == 0u) {
    var total = 0.0f;
    for (var i = 0u; i < count; i++) { total += exp2(weights[i] - top); }
    parts[part + ${2 * octets}u] = vec4f(top, total, 0.0, 0.0);
  }
}`,
  );
}
