// The M best of many ordered scores inside one workgroup, by counting (few) or by a radix search for the threshold (many). No sort.

/** Lanes of a selecting workgroup: one per histogram bin. */
export const SELECT_LANES = 256;

/** Up to here each candidate counts how many beat it; above, four rounds over an 8-bit histogram find the threshold. */
export const COUNTING_LIMIT = 256;

export interface TopOptions {
  /** Candidates there can be. */
  readonly most: number;
  /** Prefix sums by subgroup operations, of any subgroup size. */
  readonly subgroups: boolean;
  /** Scores lie four at a time in `cache: array<vec4u>`, 0 after the last. */
  readonly vectors: boolean;
  /** Lanes of the workgroup, at least one per histogram bin. @defaultValue SELECT_LANES */
  readonly lanes?: number | undefined;
}

/** Workgroup memory of {@link topCode} in bytes, besides the scores. */
export function topBytes(most: number, lanes: number = SELECT_LANES): number {
  return most <= COUNTING_LIMIT ? Math.ceil(most / 32) * 4 : 256 * 4 + 2 * lanes * 8 + 16;
}

/** `enable` directives that {@link topCode} needs. */
export function topEnables({ most, subgroups }: TopOptions): string {
  return subgroups && most > COUNTING_LIMIT ? 'enable subgroups;' : '';
}

/** Parameters of `main` and its first statement: \`lane\`, numbered subgroup by subgroup where those are used. */
export function laneCode({ most, subgroups }: TopOptions): { readonly parameters: string; readonly statement: string } {
  if (!subgroups || most <= COUNTING_LIMIT)
    return { parameters: '@builtin(local_invocation_index) lane: u32', statement: '' };
  return {
    parameters:
      '@builtin(subgroup_id) subgroup: u32, @builtin(subgroup_size) subgroup_lanes: u32, @builtin(subgroup_invocation_id) within: u32',
    statement:
      'my_subgroup = subgroup; first_of_subgroup = within == 0u; let lane = subgroup * subgroup_lanes + within;',
  };
}

/**
 * `select_top(count, keep, lane)` calls `keep_candidate(i, slot)` for each of the `keep` best of `count` > `keep` candidates,
 * slots in ascending order of i. Scores come from `score_at(i)`: larger is better, ties go to the lower index. Ends without a
 * barrier. Both functions are the caller's.
 */
export function topCode({ most, subgroups, vectors, lanes = SELECT_LANES }: TopOptions): string {
  if (most <= COUNTING_LIMIT) return countingCode(Math.ceil(most / 32), vectors, lanes);
  return `${subgroups ? subgroupSum(lanes) : plainSum(lanes)}\n${radixCode(lanes)}`;
}

/** How many beat candidate i, its own score being `mine`. */
function rankCode(vectors: boolean): string {
  if (!vectors)
    return `var rank = 0u;
    for (var j = 0u; j < i; j++) { rank += u32(score_at(j) >= mine); }
    for (var j = i + 1u; j < count; j++) { rank += u32(score_at(j) > mine); }`;
  return `let own = i / 4u;
    var ranks = vec4u(0u);
    for (var j = 0u; j < own; j++) { ranks += vec4u(cache[j] >= vec4u(mine)); }
    for (var j = own + 1u; j < (count + 3u) / 4u; j++) { ranks += vec4u(cache[j] > vec4u(mine)); }
    let place = vec4u(i % 4u);
    let index = vec4u(0u, 1u, 2u, 3u);
    ranks += vec4u((cache[own] > vec4u(mine)) | ((cache[own] == vec4u(mine)) & (index < place)));
    let rank = ranks.x + ranks.y + ranks.z + ranks.w;`;
}

function countingCode(words: number, vectors: boolean, lanes: number): string {
  return `var<workgroup> kept: array<atomic<u32>, ${words}>;
fn select_top(count: u32, keep: u32, lane: u32) {
  for (var i = lane; i < ${words}u; i += ${lanes}u) { atomicStore(&kept[i], 0u); }
  workgroupBarrier();
  for (var i = lane; i < count; i += ${lanes}u) {
    let mine = score_at(i);
    ${rankCode(vectors)}
    if (rank < keep) { atomicOr(&kept[i / 32u], 1u << (i % 32u)); }
  }
  workgroupBarrier();
  for (var i = lane; i < count; i += ${lanes}u) {
    let word = atomicLoad(&kept[i / 32u]);
    if ((word & (1u << (i % 32u))) != 0u) {
      var slot = countOneBits(word & ((1u << (i % 32u)) - 1u));
      for (var w = 0u; w < i / 32u; w++) { slot += countOneBits(atomicLoad(&kept[w])); }
      keep_candidate(i, slot);
    }
  }
}`;
}

/** Exclusive prefix sums over the lanes. */
function plainSum(lanes: number): string {
  return `var<workgroup> sums: array<array<vec2u, ${lanes}>, 2>;
fn prefix_sum(value: vec2u, lane: u32) -> vec2u {
  sums[0][lane] = value;
  workgroupBarrier();
  var side = 0u;
  for (var reach = 1u; reach < ${lanes}u; reach *= 2u) {
    var sum = sums[side][lane];
    if (lane >= reach) { sum += sums[side][lane - reach]; }
    side = 1u - side;
    sums[side][lane] = sum;
    workgroupBarrier();
  }
  let result = sums[side][lane] - value;
  workgroupBarrier();
  return result;
}`;
}

function subgroupSum(lanes: number): string {
  return `var<private> my_subgroup: u32;
var<private> first_of_subgroup: bool;
var<workgroup> sums: array<vec2u, ${lanes}>;
fn prefix_sum(value: vec2u, lane: u32) -> vec2u {
  let total = subgroupAdd(value);
  if (first_of_subgroup) { sums[my_subgroup] = total; }
  var result = subgroupExclusiveAdd(value);
  workgroupBarrier();
  for (var s = 0u; s < my_subgroup; s++) { result += sums[s]; }
  workgroupBarrier();
  return result;
}`;
}

function radixCode(lanes: number): string {
  /** Lanes beyond the bins have none. */
  const bins = (value: string): string => (lanes === 256 ? value : `if (lane < 256u) { ${value} }`);
  return `var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> found: array<u32, 4>;
fn select_top(count: u32, keep: u32, lane: u32) {
  var threshold = 0u;
  var wanted = keep;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    let known = select(0xffffffffu << ((shift + 8u) % 32u), 0u, round == 0u);
    ${bins('atomicStore(&histogram[lane], 0u);')}
    workgroupBarrier();
    for (var i = lane; i < count; i += ${lanes}u) {
      let score = score_at(i);
      if ((score & known) == threshold) { atomicAdd(&histogram[(score >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    // Lane 0 owns the highest bin.
    ${lanes === 256 ? 'let here = atomicLoad(&histogram[255u - lane]);' : 'var here = 0u;\n    if (lane < 256u) { here = atomicLoad(&histogram[255u - lane]); }'}
    let above = prefix_sum(vec2u(here, 0u), lane).x;
    if (above < wanted && wanted <= above + here) {
      found[0] = 255u - lane;
      found[1] = above;
    }
    workgroupBarrier();
    threshold |= found[0] << shift;
    wanted -= found[1];
    workgroupBarrier();
  }
  // Each lane owns a run of candidates, so slots ascend; of those at the threshold the first \`wanted\` win.
  let run = (count + ${lanes - 1}u) / ${lanes}u;
  let begin = min(lane * run, count);
  let end = min(begin + run, count);
  var mine = vec2u(0u);
  for (var i = begin; i < end; i++) {
    let score = score_at(i);
    mine += vec2u(u32(score > threshold), u32(score == threshold));
  }
  var before = prefix_sum(mine, lane);
  for (var i = begin; i < end; i++) {
    let score = score_at(i);
    let tie = score == threshold;
    if (score > threshold || (tie && before.y < wanted)) { keep_candidate(i, before.x + min(before.y, wanted)); }
    before += vec2u(u32(score > threshold), u32(tie));
  }
}`;
}
