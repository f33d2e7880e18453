// The paper's tree search (docs/specification/hip.md §2): one workgroup per cell runs every round; nodes and scores stay in workgroup memory where they fit.
import { bindings, wgsl } from '../../code/wgsl.ts';
import type { Representative } from '@hip/mask-search';
import { octetArray } from './octets.ts';
import { keyScoreCode, rowCode, type RowTiling } from './rows.ts';
import { geometryCode, LOWEST, type SearchConstants } from './shape.ts';
import { laneCode, SELECT_LANES, topCode, topEnables } from './top.ts';

export interface TreeKernel {
  readonly constants: SearchConstants;
  readonly rows: RowTiling;
  readonly blockK: number;
  readonly strideK: number;
  /** M: nodes, and blocks in the end. */
  readonly keep: number;
  readonly representative: Representative;
  readonly seed: number;
  /** Nodes and scores live in a storage buffer instead of workgroup memory. */
  readonly spill: boolean;
  /** Subgroup operations may be used. */
  readonly subgroups: boolean;
}

/** u32 that one cell needs: two generations of nodes (first, size), and the scores of all halves. */
export function treeWords(keep: number): number {
  return 6 * keep;
}

/** Blocks that stand for a half; `u` counts them, all but `oracle` have one. */
function representativeCode({ representative, seed }: TreeKernel): string {
  switch (representative) {
    case 'first':
      return 'return first;';
    case 'last':
      return 'return first + size - 1u;';
    case 'oracle':
      return 'return first + u;';
    case 'random':
      // mulberry32 counts up, so its n-th number is a function of n. floor(t/2³²·size) is the high word of t·size.
      return `var mixed = (${seed}u ^ (position + 0x9e3779b9u)) * 0x85ebca6bu;
  mixed = (mixed ^ (mixed >> 13u)) * 0xc2b2ae35u;
  mixed ^= mixed >> 16u;
  let state = mixed + 0x6d2b79f5u * (call + 1u);
  var t = (state ^ (state >> 15u)) * (state | 1u);
  t ^= t + (t ^ (t >> 7u)) * (t | 61u);
  t ^= t >> 14u;
  let low = (t & 0xffffu) * (size & 0xffffu);
  let cross = (t >> 16u) * (size & 0xffffu) + (low >> 16u);
  let other = (t & 0xffffu) * (size >> 16u) + (cross & 0xffffu);
  let high = (t >> 16u) * (size >> 16u) + (cross >> 16u) + (other >> 16u);
  return first + high;`;
    default:
      return 'return first + size / 2u;';
  }
}

/** Bindings: shape, q, k, starts, counts, [spill], [pages]. */
export function treeCode(kernel: TreeKernel): string {
  const { constants, rows, blockK, strideK, keep, representative, spill } = kernel;
  const top = { most: 2 * keep, subgroups: kernel.subgroups, vectors: false };
  const laneOf = laneCode(top);
  const array = octetArray(constants.type);
  const perBlock = Math.ceil(blockK / strideK);
  const cell = constants.shared
    ? 'batch * shape.queryBlocks + n'
    : '(batch * shape.queryHeads + shape.headOffset + head_of(group.z)) * shape.queryBlocks + n';
  const memory = spill ? 'spilled[spill_base + ' : 'nodes[';
  const barrier = spill ? 'storageBarrier(); workgroupBarrier();' : 'workgroupBarrier();';
  const at = (index: string): string => `${memory}${index}]`;
  const score = (slot: string): string => at(`${4 * keep}u + ${slot}`);
  // An even item is a left half. Dead halves score 0, below every ordered score.
  const item = `let half = i / ${perBlock}u;
      let first_node = atomicLoad(&${at('side + half / 2u')});
      let node_size = atomicLoad(&${at(`side + ${keep}u + half / 2u`)});
      let left = node_size / 2u;
      let first = first_node + select(left, 0u, half % 2u == 0u);
      let size = select(node_size - left, left, half % 2u == 0u);`;
  const random = representative === 'random';
  const resident = rows.tiles === 1 && !constants.shared;
  const load = (tile: string): string => `load_rows(batch, head, block, ${tile}, lane);\nworkgroupBarrier();`;
  const scoring = `for (var i = lane; i < ${2 * keep * perBlock}u; i += ${SELECT_LANES}u) {
      ${item}
      if (u < size) {
        let key = SINK + representative_of(first, size, u, position, ${random ? 'calls + calls_before(half)' : '0u'}) * ${blockK}u + (i % ${perBlock}u) * ${strideK}u;
        if (key < shape.keys) { raise(half, ordered(score_key(batch, head, key))); }
      }
    }`;
  const looped = resident
    ? scoring
    : `${constants.shared ? 'for (var head = 0u; head < shape.heads; head++) {' : ''}
    for (var tile = 0u; tile < ${rows.tiles}u; tile++) {
      ${load('tile')}
      ${scoring}
      workgroupBarrier();
    }
    ${constants.shared ? '}' : ''}`;
  return wgsl(
    topEnables(top),
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      `var<storage, read> q: ${array}`,
      `var<storage, read> k: ${array}`,
      'var<storage, read_write> starts: array<i32>',
      'var<storage, read_write> counts: array<u32>',
      ...(spill ? ['var<storage, read_write> spilled: array<atomic<u32>>'] : []),
      ...(constants.pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    rowCode(constants, rows, SELECT_LANES, !constants.causal),
    keyScoreCode(constants, rows),
    spill ? 'var<private> spill_base: u32;' : `var<workgroup> nodes: array<atomic<u32>, ${treeWords(keep)}>;`,
    random && `var<workgroup> halves_alive: array<atomic<u32>, ${Math.ceil((2 * keep) / 32)}>;`,
    `var<private> target_cell: u32;
var<private> side: u32;
fn representative_of(first: u32, size: u32, u: u32, position: u32, call: u32) -> u32 {
  ${representativeCode(kernel)}
}
fn raise(half: u32, value: u32) { atomicMax(&${score('half')}, value); }
fn score_at(i: u32) -> u32 { return atomicLoad(&${score('i')}); }
fn keep_candidate(i: u32, slot: u32) {
  let first_node = atomicLoad(&${at('side + i / 2u')});
  let node_size = atomicLoad(&${at(`side + ${keep}u + i / 2u`)});
  let left = node_size / 2u;
  let other = ${2 * keep}u - side;
  atomicStore(&${at('other + slot')}, first_node + select(left, 0u, i % 2u == 0u));
  atomicStore(&${at(`other + ${keep}u + slot`)}, select(node_size - left, left, i % 2u == 0u));
}
${
  random
    ? `fn calls_before(half: u32) -> u32 {
  var alive = countOneBits(atomicLoad(&halves_alive[half / 32u]) & ((1u << (half % 32u)) - 1u));
  for (var w = 0u; w < half / 32u; w++) { alive += countOneBits(atomicLoad(&halves_alive[w])); }
  return alive;
}`
    : ''
}
${topCode(top)}
@compute @workgroup_size(${SELECT_LANES})
fn main(@builtin(workgroup_id) group: vec3u, ${laneOf.parameters}) {
  ${laneOf.statement}
  let n = shape.firstBlock + group.y;
  let block = block_at(n);
  let batch = batch_of(group.z);
  ${constants.shared ? '' : 'let head = head_of(group.z);'}
  target_cell = ${cell};
  ${spill ? `spill_base = (group.z * shape.slabBlocks + group.y) * ${treeWords(keep)}u;` : ''}
  let blocks = (block.searchable + ${blockK - 1}u) / ${blockK}u;
  if (lane == 0u) { counts[target_cell] = min(blocks, ${keep}u); }
  if (blocks <= ${keep}u) {
    for (var i = lane; i < ${keep}u; i += ${SELECT_LANES}u) {
      starts[target_cell * ${keep}u + i] = select(-1, i32(SINK + i * ${blockK}u), i < blocks);
    }
    return;
  }
  ${resident ? load('0u') : ''}
  // floor(j·blocks / M) without the product: blocks = whole·M + rest.
  let whole = blocks / ${keep}u;
  let rest = blocks % ${keep}u;
  side = 0u;
  for (var j = lane; j < ${keep}u; j += ${SELECT_LANES}u) {
    let first = j * whole + (j * rest) / ${keep}u;
    let end = (j + 1u) * whole + ((j + 1u) * rest) / ${keep}u;
    atomicStore(&${at('j')}, first);
    atomicStore(&${at(`${keep}u + j`)}, end - first);
  }
  var largest = whole + u32(rest > 0u);
  let position = block.first_row + block.rows - 1u + shape.keys - shape.queries;
  ${random ? 'var calls = 0u;' : ''}
  for (; largest > 1u; largest = largest - largest / 2u) {
    ${barrier}
    for (var i = lane; i < ${2 * keep}u; i += ${SELECT_LANES}u) {
      let node_size = atomicLoad(&${at(`side + ${keep}u + i / 2u`)});
      let alive = node_size > 1u || i % 2u == 1u;
      // An alive half beats every dead one even where no row sees its keys.
      atomicStore(&${score('i')}, select(0u, ordered(${LOWEST}), alive));
    }
    ${
      random
        ? `for (var w = lane; w < ${Math.ceil((2 * keep) / 32)}u; w += ${SELECT_LANES}u) {
      var bits = 0u;
      for (var i = 32u * w; i < min(32u * w + 32u, ${2 * keep}u); i++) {
        if (i % 2u == 1u || atomicLoad(&${at(`side + ${keep}u + i / 2u`)}) > 1u) { bits |= 1u << (i % 32u); }
      }
      atomicStore(&halves_alive[w], bits);
    }`
        : ''
    }
    ${barrier}
    ${representative === 'oracle' ? `for (var u = 0u; u < (largest + 1u) / 2u; u++) {\n    ${looped}\n    }` : `const u = 0u;\n    ${looped}`}
    ${barrier}
    ${random ? `let made = calls_before(${2 * keep - 1}u) + 1u;` : ''}
    select_top(${2 * keep}u, ${keep}u, lane);
    ${random ? 'calls += made;' : ''}
    side = ${2 * keep}u - side;
  }
  ${barrier}
  for (var i = lane; i < ${keep}u; i += ${SELECT_LANES}u) {
    starts[target_cell * ${keep}u + i] = i32(SINK + atomicLoad(&${at('side + i')}) * ${blockK}u);
  }
}`,
  );
}
