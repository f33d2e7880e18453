// Split-key attention for few query rows (flash-decoding): each workgroup attends one row's heads to a part of the keys.
import { capFunction, HEADROOM, LOWEST } from '../code/softmax.ts';
import { bindings, unroll, wgsl } from '../code/wgsl.ts';
import { uniformBlock } from '../code/uniforms.ts';
import type { ElementType } from '../device/features.ts';
import { meanAt, meansBinding } from '../remainder/stored-means.ts';
import { loadOctet, octetArray } from '../search/code/octets.ts';
import { pseudoInsideBody, pseudoInsideCode, type PseudoInside } from './pseudo-inside.ts';

/** Lanes of a workgroup, and keys of one round. */
export const DECODE_LANES = 128;

/** What may change from step to step. */
export const DECODE = uniformBlock('Decode', {
  queries: 'u32',
  /** Row of q, of the new keys and values and of the output at which the call's rows start. */
  firstRow: 'u32',
  keys: 'u32',
  /** Word of the page tables at which the sequence's begins, where several sequences are served. */
  pageFirst: 'u32',
  /** Keys that the bindings hold: [keyFirst, keyEnd). */
  keyFirst: 'u32',
  keyEnd: 'u32',
  /** Rows of one batch in the key buffer. */
  keyRows: 'u32',
  batchFirst: 'u32',
  /** Row of k and v, batches counted through, at which the bindings start. */
  keyBase: 'u32',
  heads: 'u32',
  queryHeads: 'u32',
  headFirst: 'u32',
  kvHeads: 'u32',
  /** Window of every row; grows while a mask is reused. Without a mask: all that rows attend to. */
  window: 'u32',
  maskHeads: 'u32',
  queryBlocks: 'u32',
  blockQ: 'u32',
  capacity: 'u32',
  /** Parts of this dispatch, the first one's number, and all parts of a row. */
  splits: 'u32',
  splitFirst: 'u32',
  allSplits: 'u32',
  /** scale·log2(e), or scale/softcap with a soft-cap. */
  scale: 'f32',
  /** softcap·log2(e) */
  cap: 'f32',
});

export interface DecodeKernel {
  readonly headDim: number;
  readonly type: ElementType;
  /** Query heads per kv head. */
  readonly group: number;
  /** Heads of one workgroup: they share the keys they read. Divides group. */
  readonly heads: number;
  readonly causal: boolean;
  readonly softcap: boolean;
  /** Absent: dense. */
  readonly sparse?:
    | {
        readonly blockK: number;
        readonly sink: number;
        /** Keys of the remainder's base block, where rows attend to what lies between the last block and the window. @defaultValue 0 */
        readonly tailBlock?: number | undefined;
      }
    | undefined;
  readonly pageShift?: number | undefined;
  /** The newest token's keys and values come beside the cache, and are written into it. Needs a window. */
  readonly append?: boolean | undefined;
  /** One row of each of so many sequences of a pool, which is read through their page tables. Dense. @defaultValue one sequence */
  readonly together?: number | undefined;
  /** Pseudo-keys are a workgroup more. One head a workgroup, a mask. */
  readonly pseudo?: PseudoInside | undefined;
}

/** Workgroup memory in bytes, without pseudo-keys. */
export function decodeBytes({ headDim, heads }: Pick<DecodeKernel, 'headDim' | 'heads'>): number {
  return heads * headDim * 4 + heads * DECODE_LANES * 4 + DECODE_LANES * 4 + DECODE_LANES * 32;
}

/** The uniforms: one, or one for each of several sequences, which then come first. */
export function momentBindings(together: number): string[] {
  if (together === 0) return ['var<uniform> decode: Decode'];
  return Array.from({ length: together }, (_, i) => `var<uniform> moment${i}: Decode`);
}

/** `choose_moment(i)`: what `decode` is for the i-th of several sequences; a value, since a variable of the module is never uniform. */
export function momentCode(together: number): string {
  if (together === 0) return '';
  const cases = Array.from({ length: together - 1 }, (_, i) => `    case ${i}u: { return moment${i}; }\n`);
  return `fn choose_moment(i: u32) -> Decode {
  switch (i) {
${cases.join('')}    default: { return moment${together - 1}; }
  }
}`;
}

/**
 * `keys_of(batch, head, row)` and `slot_key(keys, i)`: the row's keys as one list, 0xffffffff where a slot holds none.
 *
 * @param held the row's blocks are `chosen_count` of `blocks_held` instead of a mask's
 */
export function keyList(
  { sparse, causal, together = 0 }: Pick<DecodeKernel, 'sparse' | 'causal' | 'together'>,
  held = false,
): string {
  const moment = together > 0 ? 'decode: Decode, ' : '';
  const range = `let end = ${causal ? 'i32(row + decode.keys) + 1 - i32(decode.queries)' : 'i32(decode.keys)'};
  let visible = u32(clamp(end, 0, i32(decode.keys)));`;
  if (!sparse)
    return `struct Keys { visible: u32, first: u32, slots: u32 }
fn keys_of(${moment}batch: u32, head: u32, row: u32) -> Keys {
  ${range}
  let first = max(decode.keyFirst, u32(max(end, 0)) - min(u32(max(end, 0)), decode.window));
  return Keys(visible, first, max(min(visible, decode.keyEnd), first) - first);
}
fn slot_key(keys: Keys, i: u32) -> u32 { return keys.first + i; }`;
  const { blockK, sink, tailBlock = 0 } = sparse;
  return `struct Keys { visible: u32, slots: u32, sink_end: u32, selected: u32, window_start: u32, first_start: u32 }
fn keys_of(batch: u32, head: u32, row: u32) -> Keys {
  ${range}
  ${
    tailBlock === 0
      ? 'let window_start = u32(max(end - i32(decode.window), 0));'
      : `let first_end = ${causal ? 'i32(row / decode.blockQ * decode.blockQ + decode.keys) + 1 - i32(decode.queries)' : 'end'};
  let below = u32(max(first_end - i32(decode.window) - ${sink}, 0));
  let window_start = min(u32(max(end - i32(decode.window), 0)), ${sink}u + below / ${tailBlock}u * ${tailBlock}u);`
  }
  let sink_end = min(min(${sink}u, visible), window_start);
  let cell = (batch * decode.maskHeads + select(decode.headFirst + head, 0u, decode.maskHeads == 1u)) * decode.queryBlocks + row / decode.blockQ;
  let selected = ${held ? 'chosen_count' : 'min(counts[cell], decode.capacity)'} * ${blockK}u;
  let slots = sink_end + selected + max(visible, window_start) - window_start;
  return Keys(visible, slots, sink_end, selected, window_start, cell * decode.capacity);
}
fn slot_key(keys: Keys, i: u32) -> u32 {
  var key = i;
  var valid = true;
  if (i >= keys.sink_end + keys.selected) {
    key = keys.window_start + i - keys.sink_end - keys.selected;
  } else if (i >= keys.sink_end) {
    let inside = i - keys.sink_end;
    key = u32(${held ? 'blocks_held[' : 'starts[keys.first_start + '}inside / ${blockK}u]) + inside % ${blockK}u;
    valid = key >= ${sink}u && key < min(keys.window_start, keys.visible);
  }
  return select(0xffffffffu, key, valid && key >= decode.keyFirst && key < decode.keyEnd);
}`;
}

/**
 * Bindings: decode, q, k, v, parts, [starts, counts], [pages], [new k, new v], [means]. Workgroups: splits, and one with pseudo-keys,
 * × head groups × (batch, row). A part is Σ weight·v and (maximum, Σ weight, 0, 0), weights relative to the part's maximum.
 */
export function decodeCode(kernel: DecodeKernel): string {
  const { headDim, type, group, heads, softcap, sparse, pageShift, append = false, pseudo, together = 0 } = kernel;
  const array = octetArray(type);
  const octets = headDim / 8;
  const moment = together > 0 ? 'decode, ' : '';
  // Lanes of the value phase: (key group, octet). With 80 numbers 120 of 128 lanes work.
  const keyGroups = Math.min(DECODE_LANES, Math.floor(DECODE_LANES / octets));
  // Steps of a loop body, so that their loads overlap.
  const keySteps = [4, 2].find((count) => octets % count === 0) ?? 1;
  const valueSteps = 4;
  const each = (statement: (g: number) => string): string => unroll(heads, statement);
  return wgsl(
    DECODE.declaration,
    bindings([
      ...momentBindings(together),
      `var<storage, read> q: ${array}`,
      `var<storage, ${append ? 'read_write' : 'read'}> k: ${array}`,
      `var<storage, ${append ? 'read_write' : 'read'}> v: ${array}`,
      'var<storage, read_write> parts: array<vec4f>',
      ...(sparse ? ['var<storage, read> starts: array<i32>', 'var<storage, read> counts: array<u32>'] : []),
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
      ...(append ? [`var<storage, read> new_k: ${array}`, `var<storage, read> new_v: ${array}`] : []),
      ...(pseudo ? [meansBinding(type)] : []),
    ]),
    momentCode(together),
    keyList(kernel),
    pseudo && `${meanAt(type)}\n${pseudoInsideCode(pseudo)}`,
    softcap && capFunction(together > 0 ? 'moment0.cap' : 'decode.cap', '40.0'),
    `const NONE = 0xffffffffu;
var<workgroup> queries: array<vec4f, ${heads * 2 * octets}>;
// Four at a time, for the maximum.
var<workgroup> weights: array<vec4f, ${(heads * DECODE_LANES) / 4}>;
var<workgroup> rows: array<u32, ${DECODE_LANES}>;
var<workgroup> sums: array<vec4f, ${2 * DECODE_LANES}>;
fn key_row(${together > 0 ? 'decode: Decode, ' : ''}batch: u32, key: u32) -> u32 { return ${
      pageShift === undefined
        ? 'batch * decode.keyRows + key - decode.keyBase'
        : `(pages[${together > 0 ? 'decode.pageFirst + ' : ''}(key >> ${pageShift}u)] << ${pageShift}u) | (key & ${2 ** pageShift - 1}u)`
    }; }
@compute @workgroup_size(${DECODE_LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  ${
    together > 0
      ? 'let decode = choose_moment(group.z);\n  let batch = 0u;\n  let row = 0u;'
      : 'let batch = decode.batchFirst + group.z / decode.queries;\n  let row = group.z % decode.queries;'
  }
  let head = group.y * ${heads}u;
  let keys = keys_of(${moment}batch, head, row);
  let per = (keys.slots + decode.splits * ${DECODE_LANES}u - 1u) / (decode.splits * ${DECODE_LANES}u) * ${DECODE_LANES}u;
  let first = group.x * per;
  let last = min(first + per, keys.slots);
  let query_at = ((batch * decode.queries + row + decode.firstRow) * decode.queryHeads + decode.headFirst + head) * ${octets}u;
  for (var i = lane; i < ${heads * octets}u; i += ${DECODE_LANES}u) {
    ${loadOctet(type, 'q', 'query_at + i', 'x')}
    queries[2u * i] = x_lo;
    queries[2u * i + 1u] = x_hi;
  }
  let kv_at = head / ${group}u;
${
  pseudo && sparse
    ? `  if (group.x == decode.splits) {
    workgroupBarrier();
    ${pseudoInsideBody(pseudo, { headDim, lanes: DECODE_LANES, sink: sparse.sink, blockK: sparse.blockK, group, causal: kernel.causal, softcap })}
    return;
  }`
    : ''
}
${
  append
    ? `  // The newest key is the last slot. Heads of a group write the same numbers; each reads what its own workgroup wrote.
  if (first < last && last == keys.slots) {
    let target_octet = (key_row(${moment}batch, decode.keys - 1u) * decode.kvHeads + kv_at) * ${octets}u;
    let source = ((decode.firstRow * decode.queryHeads + decode.headFirst) / ${group}u + kv_at) * ${octets}u;
    for (var i = lane; i < ${type === 'f32' ? 2 * octets : octets}u; i += ${DECODE_LANES}u) {
      k[${type === 'f32' ? '2u * ' : ''}target_octet + i] = new_k[${type === 'f32' ? '2u * ' : ''}source + i];
      v[${type === 'f32' ? '2u * ' : ''}target_octet + i] = new_v[${type === 'f32' ? '2u * ' : ''}source + i];
    }
    storageBarrier();
    workgroupBarrier();
  }`
    : ''
}
  let c = lane % ${octets}u;
  let key_group = lane / ${octets}u;
${each((g) => `  var m${g} = ${LOWEST}; var l${g} = 0.0f; var lo${g} = vec4f(0.0); var hi${g} = vec4f(0.0);`)}
  for (var round = first; round < last; round += ${DECODE_LANES}u) {
    workgroupBarrier();
    var at = NONE;
    if (round + lane < last) {
      let key = slot_key(keys, round + lane);
      if (key != NONE) { at = (key_row(${moment}batch, key) * decode.kvHeads + kv_at) * ${octets}u; }
    }
    rows[lane] = at;
    if (at != NONE) {
${each((g) => `      var s${g} = 0.0f;`)}
      for (var i = 0u; i < ${octets}u; i += ${keySteps}u) {
${unroll(
  keySteps,
  (step) => `        {
          let o = i + ${step}u;
          ${loadOctet(type, 'k', 'at + o', 'x')}
${each((g) => `          s${g} += dot(x_lo, queries[${2 * g * octets}u + 2u * o]) + dot(x_hi, queries[${2 * g * octets + 1}u + 2u * o]);`)}
        }`,
)}
      }
${each((g) => `      weights[${(g * DECODE_LANES) / 4}u + lane / 4u][lane % 4u] = ${softcap ? `capped(s${g} * decode.scale)` : `s${g} * decode.scale`};`)}
    } else {
${each((g) => `      weights[${(g * DECODE_LANES) / 4}u + lane / 4u][lane % 4u] = ${LOWEST};`)}
    }
    workgroupBarrier();
${each(
  (g) => `    let mine${g} = weights[${(g * DECODE_LANES) / 4}u + lane / 4u][lane % 4u];
    var four${g} = vec4f(${LOWEST});
    for (var j = 0u; j < ${DECODE_LANES / 4}u; j++) { four${g} = max(four${g}, weights[${(g * DECODE_LANES) / 4}u + j]); }
    let top${g} = max(m${g}, max(max(four${g}.x, four${g}.y), max(four${g}.z, four${g}.w)) + ${HEADROOM});
    let shrink${g} = exp2(m${g} - top${g});
    m${g} = top${g}; l${g} *= shrink${g}; lo${g} *= shrink${g}; hi${g} *= shrink${g};`,
)}
    workgroupBarrier();
${each((g) => `    weights[${(g * DECODE_LANES) / 4}u + lane / 4u][lane % 4u] = select(exp2(mine${g} - top${g}), 0.0f, at == NONE);`)}
    workgroupBarrier();
    if (key_group < ${keyGroups}u) {
      for (var j = key_group; j < ${DECODE_LANES}u; j += ${keyGroups * valueSteps}u) {
${unroll(
  valueSteps,
  (step) => `        {
          let slot = min(j + ${step * keyGroups}u, ${DECODE_LANES - 1}u);
          let at = rows[slot];
          let present = at != NONE${DECODE_LANES % (keyGroups * valueSteps) === 0 ? '' : ` && j + ${step * keyGroups}u < ${DECODE_LANES}u`};
          // Absent keys weigh nothing; what is read in their stead, perhaps another sequence's, must not count at all.
          ${loadOctet(type, 'v', 'select(0u, at, present) + c', 'x', 'present')}
${each(
  (g) =>
    `          { let w = select(0.0f, weights[${(g * DECODE_LANES) / 4}u + slot / 4u][slot % 4u], present); l${g} += w; lo${g} += w * x_lo; hi${g} += w * x_hi; }`,
)}
        }`,
)}
      }
    }
  }
  let part = (${together > 0 ? 'group.z' : '(batch * decode.queries + row)'} * decode.heads + head) * decode.allSplits + decode.splitFirst + group.x;
${each(
  (g) => `  workgroupBarrier();
  sums[2u * lane] = lo${g};
  sums[2u * lane + 1u] = hi${g};
  if (c == 0u) { rows[key_group] = bitcast<u32>(l${g}); }
  workgroupBarrier();
  for (var i = lane; i < ${2 * octets}u; i += ${DECODE_LANES}u) {
    var sum = vec4f(0.0);
    for (var j = 0u; j < ${keyGroups}u; j++) { sum += sums[2u * (j * ${octets}u) + i]; }
    parts[(part + ${g}u * decode.allSplits) * ${2 * octets + 1}u + i] = sum;
  }
  if (lane == 0u) {
    var weight = 0.0f;
    for (var j = 0u; j < ${keyGroups}u; j++) { weight += bitcast<f32>(rows[j]); }
    parts[(part + ${g}u * decode.allSplits) * ${2 * octets + 1}u + ${2 * octets}u] = vec4f(m${g}, weight, 0.0, 0.0);
  }`,
)}
}`,
  );
}
