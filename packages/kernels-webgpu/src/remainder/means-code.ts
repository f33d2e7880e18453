// WGSL of the remainder's means: base blocks from keys and values, larger blocks from two halves, and their gradients spread again.
import { uniformBlock } from '../code/uniforms.ts';
import { bindings, wgsl } from '../code/wgsl.ts';
import type { ElementType } from '../device/features.ts';
import { loadOctet, octetArray, octetFunctions, storeOctet } from '../search/code/octets.ts';

export const MEANS_LANES = 128;

export const MEANS = uniformBlock('Means', {
  batchFirst: 'u32',
  kvHeads: 'u32',
  /** Row of k and v, batches counted through, at which the bindings start. */
  keyBase: 'u32',
  keyRows: 'u32',
  /** Keys of a batch element. */
  keys: 'u32',
  /** [firstBlock, endBlock) of the level are computed. */
  firstBlock: 'u32',
  endBlock: 'u32',
  /** First row of this level, and of the level before. */
  row: 'u32',
  halfRow: 'u32',
  /** Rows of a head. */
  rows: 'u32',
  /** Base blocks for which a head has room. */
  baseBlocks: 'u32',
});

export interface MeansKernel {
  readonly headDim: number;
  readonly type: ElementType;
  readonly sink: number;
  readonly block: number;
  readonly pageShift?: number | undefined;
}

function place(octets: number): string {
  return `let lane = id.x + id.z * groups.x * ${MEANS_LANES}u;
  let batch = sizes.batchFirst + id.y;
  let c = lane % ${octets}u;
  let head = (lane / ${octets}u) % sizes.kvHeads;
  let block = sizes.firstBlock + lane / (${octets}u * sizes.kvHeads);
  if (block >= sizes.endBlock) { return; }
  let head_row = (batch * sizes.kvHeads + head) * sizes.rows;`;
}

const MAIN = `@compute @workgroup_size(${MEANS_LANES})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {`;

function keyRow(pageShift: number | undefined): string {
  return pageShift === undefined
    ? 'batch * sizes.keyRows + key - sizes.keyBase'
    : `(pages[key >> ${pageShift}u] << ${pageShift}u) | (key & ${2 ** pageShift - 1}u)`;
}

/** Bindings: sizes, k, v, means, [pages]. One lane per (base block, head, octet); y is the batch. */
export function baseMeansCode({ headDim, type, sink, block, pageShift }: MeansKernel): string {
  const octets = headDim / 8;
  // Large numbers do not overflow on the way to their mean, and a power of two changes no rounding.
  const share = `${2 ** -Math.ceil(Math.log2(block))}f`;
  const rest = `${2 ** Math.ceil(Math.log2(block)) / block}f`;
  const sum = (name: string): string => `{
      ${loadOctet(type, name, `(row * sizes.kvHeads + head) * ${octets}u + c`, 'x')}
      ${name}_lo += ${share} * x_lo;
      ${name}_hi += ${share} * x_hi;
    }`;
  return wgsl(
    MEANS.declaration,
    bindings([
      'var<uniform> sizes: Means',
      `var<storage, read> k: ${octetArray(type)}`,
      `var<storage, read> v: ${octetArray(type)}`,
      `var<storage, read_write> means: ${octetArray(type)}`,
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    octetFunctions(type),
    `fn key_row(batch: u32, key: u32) -> u32 { return ${keyRow(pageShift)}; }
${MAIN}
  ${place(octets)}
  var k_lo = vec4f(0.0); var k_hi = vec4f(0.0); var v_lo = vec4f(0.0); var v_hi = vec4f(0.0);
  let first = ${sink}u + block * ${block}u;
  for (var key = first; key < first + ${block}u; key++) {
    let row = key_row(batch, key);
    ${sum('k')}
    ${sum('v')}
  }
  let at = (head_row + block) * ${2 * octets}u + c;
  ${storeOctet(type, 'means', 'at', `k_lo * ${rest}`, `k_hi * ${rest}`)}
  ${storeOctet(type, 'means', `at + ${octets}u`, `v_lo * ${rest}`, `v_hi * ${rest}`)}
}`,
  );
}

/** Bindings: sizes, means. One lane per (block of the level, head, octet); y is the batch. */
export function doubleMeansCode({ headDim, type }: Pick<MeansKernel, 'headDim' | 'type'>): string {
  const octets = headDim / 8;
  const join = (offset: number): string => `{
    let at = half_at + ${offset}u;
    let next = at + ${2 * octets}u;
    ${loadOctet(type, 'means', 'at', 'x')}
    ${loadOctet(type, 'means', 'next', 'y')}
    ${storeOctet(type, 'means', `row_at + ${offset}u`, '0.5f * x_lo + 0.5f * y_lo', '0.5f * x_hi + 0.5f * y_hi')}
  }`;
  return wgsl(
    MEANS.declaration,
    bindings(['var<uniform> sizes: Means', `var<storage, read_write> means: ${octetArray(type)}`]),
    octetFunctions(type),
    `${MAIN}
  ${place(octets)}
  let row_at = (head_row + sizes.row + block) * ${2 * octets}u + c;
  let half_at = (head_row + sizes.halfRow + 2u * block) * ${2 * octets}u + c;
  ${join(0)}
  ${join(octets)}
}`,
  );
}

/**
 * Bindings: sizes, gradients of means, dk, dv. One lane per (key, head, octet), block by block of keys; y is the batch. Each key takes
 * its share of every block that it lies in.
 */
export function spreadMeansCode({
  headDim,
  type,
  sink,
  block,
  levels,
}: MeansKernel & { readonly levels: number }): string {
  const octets = headDim / 8;
  const add = (name: string, offset: number): string => `{
    let at = (row * sizes.kvHeads + head) * ${octets}u + c;
    ${loadOctet(type, name, 'at', 'x')}
    var lo = x_lo;
    var hi = x_hi;
    var first = 0u;
    var count = sizes.baseBlocks;
    var index = (key - ${sink}u) / ${block}u;
    var share = ${1 / block}f;
    for (var level = 0u; level < ${levels}u; level++) {
      if (index < count) {
        let mean = (head_row + first + index) * ${2 * octets}u + ${offset}u + c;
        lo += share * means[2u * mean];
        hi += share * means[2u * mean + 1u];
      }
      first += count;
      count /= 2u;
      index /= 2u;
      share *= 0.5f;
    }
    ${storeOctet(type, name, 'at', 'lo', 'hi')}
  }`;
  return wgsl(
    MEANS.declaration,
    bindings([
      'var<uniform> sizes: Means',
      'var<storage, read> means: array<vec4f>',
      `var<storage, read_write> k: ${octetArray(type)}`,
      `var<storage, read_write> v: ${octetArray(type)}`,
    ]),
    octetFunctions(type),
    `fn key_row(batch: u32, key: u32) -> u32 { return ${keyRow(undefined)}; }
${MAIN}
  ${place(octets).replace('let block =', 'let key =').replace('block >= sizes', 'key >= sizes')}
  let row = key_row(batch, key);
  ${add('k', 0)}
  ${add('v', octets)}
}`,
  );
}
