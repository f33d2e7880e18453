// One row's blocks chosen and attended to by one workgroup a head: neither a mask nor parts travel to another dispatch.
import { capFunction, HEADROOM, LOWEST } from '../code/softmax.ts';
import { bindings, unroll, wgsl } from '../code/wgsl.ts';
import { budgetCode } from '../search/code/budgets.ts';
import { candidateBindings, candidateCode } from '../search/code/candidates.ts';
import { float, type VoteScale } from '../search/code/mass.ts';
import { meanAt, meansBinding } from '../remainder/stored-means.ts';
import { loadOctet, octetArray, octetFunctions, storeOctet } from '../search/code/octets.ts';
import { chooseParts, closeMaskCode, rowChooseBytes, type RowChooseKernel } from '../search/code/row-choose.ts';
import { geometryCode } from '../search/code/shape.ts';
import { pseudoInsideBytes, pseudoInsideCode, pseudoListBody, type PseudoInside } from './pseudo-inside.ts';

export interface RowAttentionKernel {
  readonly choose: RowChooseKernel;
  readonly score: VoteScale;
  /** Lanes of the workgroup, 256 or more. */
  readonly lanes: number;
  /** Keys of a row's list at most. */
  readonly slots: number;
  /** Keys of the remainder's base block where its tail is attended to. @defaultValue 0 */
  readonly tailBlock?: number | undefined;
  readonly pseudo?: PseudoInside | undefined;
  /** The newest token's keys and values come beside the cache, and are written into it. */
  readonly append: boolean;
}

/** Storage buffers that the kernel binds. */
export function rowAttentionBuffers({
  pages,
  append,
  pseudo,
}: {
  readonly pages: boolean;
  readonly append: boolean;
  readonly pseudo: boolean;
}): number {
  return 10 + (pages ? 1 : 0) + (append ? 2 : 0) + (pseudo ? 1 : 0);
}

/** Workgroup memory in bytes. */
export function rowAttentionBytes({ choose, lanes, slots, pseudo }: Omit<RowAttentionKernel, 'score'>): number {
  const { headDim } = choose.constants;
  const entries = slots + (pseudo?.slots ?? 0);
  const list = pseudo ? pseudoInsideBytes(pseudo) : 4 * choose.keep;
  return rowChooseBytes(choose, lanes) + list + headDim * 4 + 8 * entries + lanes * 40;
}

/**
 * Bindings: shape, q, k, v, out, mask starts, counts, scores, block sums, previous starts, counts, [pages], [new k, new v], [means].
 * Workgroups: 1 × 1 × heads. Rows without keys give 0.
 */
export function rowAttentionCode(kernel: RowAttentionKernel): string {
  const { choose, score, lanes, slots, tailBlock = 0, pseudo, append } = kernel;
  const { constants, keep, block } = choose;
  const { headDim, type, group, sink, window, pageShift } = constants;
  const octets = headDim / 8;
  const vectors = headDim / 4;
  const teams = Math.floor(lanes / octets);
  const array = octetArray(type);
  const access = append ? 'read_write' : 'read';
  const entries = slots + (pseudo?.slots ?? 0);
  const steps = [4, 2].find((count) => octets % count === 0) ?? 1;
  const valueSteps = 4;
  const scale = score.softcap === undefined ? score.scale * Math.LOG2E : score.scale / score.softcap;
  const logit = (dot: string): string =>
    score.softcap === undefined ? `${dot} * ${float(scale)}` : `capped(${dot} * ${float(scale)})`;
  /** Teams are added up in halves: 16, 8, 4, 2, 1 for 17 to 32 of them. */
  const halvings = Math.ceil(Math.log2(teams));
  const reaches = Array.from({ length: halvings }, (_, i) => 2 ** (halvings - 1 - i));
  const parts = chooseParts(
    choose,
    lanes,
    `blocks_held[slot] = i32(SINK + token);\n  starts[target_cell * ${keep}u + slot] = i32(SINK + token);`,
  );
  const words = type === 'f32' ? 2 : 1;
  return wgsl(
    parts.enables,
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      `var<storage, read> q: ${array}`,
      `var<storage, ${access}> k: ${array}`,
      `var<storage, ${access}> v: ${array}`,
      `var<storage, read_write> out: ${array}`,
      'var<storage, read_write> starts: array<i32>',
      'var<storage, read_write> counts: array<u32>',
      'var<storage, read> scores: array<u32>',
      'var<storage, read> block_sums: array<u32>',
      ...candidateBindings(choose),
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
      ...(append ? [`var<storage, read> new_k: ${array}`, `var<storage, read> new_v: ${array}`] : []),
      ...(pseudo ? [meansBinding(type)] : []),
    ]),
    octetFunctions(type),
    candidateCode(choose),
    budgetCode(choose),
    score.softcap !== undefined && capFunction(float(score.softcap * Math.LOG2E), '40.0'),
    pseudo
      ? `${meanAt(type)}\n${pseudoInsideCode(pseudo)}`
      : `var<workgroup> blocks_held: array<i32, ${Math.max(1, keep)}>;`,
    parts.declarations,
    `const NONE = 0xffffffffu;
// What the lists of pseudo-keys read.
struct Row { keys: u32, queries: u32, window: u32, blockQ: u32 }
var<workgroup> queries: array<vec4f, ${vectors}>;
// Of each key or pseudo-key: where it stands, and its logit, then its weight.
var<workgroup> addresses: array<u32, ${entries}>;
var<workgroup> weights: array<f32, ${entries}>;
var<workgroup> tops: array<f32, ${lanes}>;
var<workgroup> partials: array<vec4f, ${2 * lanes}>;
var<workgroup> partial_sums: array<f32, ${lanes}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, ${parts.parameters}) {
  ${parts.statement}
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  let row = 0u;
  let query_at = query_octet(batch, 0u, head);
  for (var i = lane; i < ${octets}u; i += ${lanes}u) {
    ${loadOctet(type, 'q', 'query_at + i', 'x')}
    queries[2u * i] = x_lo;
    queries[2u * i + 1u] = x_hi;
  }
  ${parts.choose}
  ${closeMaskCode({ keep }, lanes)}
${
  append
    ? `  // Heads of a group write the same numbers; each reads what its own workgroup wrote.
  let target_octet = key_octet(batch, shape.keys - 1u, head);
  // The new keys' row is the query's: it lies before a row that the binding would start at.
  let source_octet = (((0u - shape.queryBase) * shape.queryHeads + shape.headOffset) / ${group}u + head / ${group}u) * ${octets}u;
  for (var i = lane; i < ${words * octets}u; i += ${lanes}u) {
    k[${words}u * target_octet + i] = new_k[${words}u * source_octet + i];
    v[${words}u * target_octet + i] = new_v[${words}u * source_octet + i];
  }
  storageBarrier();`
    : ''
}
  workgroupBarrier();
  let decode = Row(shape.keys, shape.queries, ${window}u + shape.lag, 1u);
  let visible = shape.keys;
  ${
    tailBlock === 0
      ? 'let window_start = u32(max(i32(visible) - i32(decode.window), 0));'
      : `let below = u32(max(i32(visible) - i32(decode.window) - ${sink}, 0));
  let window_start = min(u32(max(i32(visible) - i32(decode.window), 0)), ${sink}u + below / ${tailBlock}u * ${tailBlock}u);`
  }
  let sink_end = min(min(${sink}u, visible), window_start);
  let selected = chosen_count * ${block}u;
  let listed = min(sink_end + selected + visible - window_start, ${slots}u);
  let count = chosen_count;
  ${pseudo ? pseudoListBody(pseudo, { lanes, sink, blockK: block, causal: true }) : 'let all = 0u;'}
  let total = listed + all;
  ${pseudo ? `let mean_base = (batch * shape.kvHeads + head / ${group}u) * ${pseudo.meanRows}u;` : ''}
  var top = ${LOWEST};
  for (var i = lane; i < total; i += ${lanes}u) {
    var at = NONE;
    var x = ${LOWEST};
    if (i < listed) {
      var key = i;
      var valid = true;
      if (i >= sink_end + selected) { key = window_start + i - sink_end - selected; }
      else if (i >= sink_end) {
        key = u32(blocks_held[(i - sink_end) / ${block}u]) + (i - sink_end) % ${block}u;
        valid = key >= ${sink}u && key < window_start;
      }
      if (valid) {
        at = key_octet(batch, key, head);
        var sum = 0.0f;
        for (var c = 0u; c < ${octets}u; c += ${steps}u) {
${unroll(steps, (s) => `          { ${loadOctet(type, 'k', `at + c + ${s}u`, 'x')} sum += dot(x_lo, queries[2u * (c + ${s}u)]) + dot(x_hi, queries[2u * (c + ${s}u) + 1u]); }`)}
        }
        x = ${logit('sum')};
      }
    }${
      pseudo
        ? ` else {
      let bias = pseudo_weights[i - listed];
      if (bias > ${LOWEST}) {
        at = (mean_base + pseudo_rows[i - listed]) * ${2 * vectors}u;
        var sum = 0.0f;
        for (var c = 0u; c < ${vectors}u; c += 2u) { sum += dot(queries[c], mean_at(at + c)) + dot(queries[c + 1u], mean_at(at + c + 1u)); }
        x = ${logit('sum')} + bias;
      }
    }`
        : ''
    }
    addresses[i] = at;
    weights[i] = x;
    top = max(top, x);
  }
  tops[lane] = top;
  workgroupBarrier();
${unroll(Math.log2(lanes), (i) => `  if (lane < ${lanes >> (i + 1)}u) { tops[lane] = max(tops[lane], tops[lane + ${lanes >> (i + 1)}u]); }\n  workgroupBarrier();`)}
  let most = tops[0] + ${HEADROOM};
  for (var i = lane; i < total; i += ${lanes}u) { weights[i] = select(exp2(weights[i] - most), 0.0f, addresses[i] == NONE); }
  workgroupBarrier();
  let team = lane / ${octets}u;
  let c = lane % ${octets}u;
  var lo = vec4f(0.0);
  var hi = vec4f(0.0);
  var l = 0.0f;
  if (team < ${teams}u) {
    for (var first = team; first < listed; first += ${teams * valueSteps}u) {
${unroll(
  valueSteps,
  (s) => `      {
        let i = min(first + ${s * teams}u, listed - 1u);
        let at = addresses[i];
        let present = at != NONE && first + ${s * teams}u < listed;
        // Absent keys weigh nothing; what is read in their stead, perhaps another sequence's, must not count at all.
        ${loadOctet(type, 'v', 'select(0u, at, present) + c', 'x', 'present')}
        let w = select(0.0f, weights[i], present);
        l += w; lo += w * x_lo; hi += w * x_hi;
      }`,
)}
    }
${
  pseudo
    ? `    for (var i = listed + team; i < total; i += ${teams}u) {
      let at = addresses[i];
      if (at != NONE) {
        let w = weights[i];
        l += w;
        lo += w * mean_at(at + ${vectors}u + 2u * c);
        hi += w * mean_at(at + ${vectors + 1}u + 2u * c);
      }
    }`
    : ''
}
  }
  partials[2u * lane] = lo;
  partials[2u * lane + 1u] = hi;
  partial_sums[lane] = l;
  workgroupBarrier();
${reaches
  .map(
    (reach) => `  if (team < ${reach}u && team + ${reach}u < ${teams}u) {
    partials[2u * lane] += partials[2u * (lane + ${reach * octets}u)];
    partials[2u * lane + 1u] += partials[2u * (lane + ${reach * octets}u) + 1u];
    partial_sums[lane] += partial_sums[lane + ${reach * octets}u];
  }
  workgroupBarrier();`,
  )
  .join('\n')}
  if (lane < ${octets}u) {
    let sum = partial_sums[lane];
    let inverse = select(1.0f / sum, 0.0f, sum == 0.0f);
    ${storeOctet(type, 'out', 'query_at + lane', 'partials[2u * lane] * inverse', 'partials[2u * lane + 1u] * inverse')}
  }
}`,
  );
}
