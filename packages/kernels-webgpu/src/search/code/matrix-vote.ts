// The vote of cells on pairs of keys (docs/specification/hip.md §8.1): every product once. Each pair's sum is kept as f16, relative to the
// maximum that its row had in that round; when all keys are through, one factor for each row and round makes masses of them.
import { bindings, unroll, wgsl } from '../../code/wgsl.ts';
import { budgetCode } from './budgets.ts';
import { candidateBindings, heldCandidateCode } from './candidates.ts';
import { channelOctets } from './channels.ts';
import { extentCode, float, logitCode, type VoteKernel } from './mass.ts';
import {
  fetchCode,
  heldCode,
  loadLeft,
  MATRIX_PRELUDE,
  multiplyColumns,
  putCode,
  stagedStride,
  TILE,
} from './matrix.ts';
import { queryRowsCode } from './query-rows.ts';
import { geometryCode, LOWEST } from './shape.ts';
import {
  chosenRounds,
  keptOctets,
  productStride,
  stagedOctets,
  subgroupsOf,
  voteStaging,
  type VoteSizes,
} from './vote-tiling.ts';

export interface MatrixVoteKernel extends VoteKernel, VoteSizes {
  /** Cells of the z axis: batch elements and heads. */
  readonly z: number;
}

/** Base 2: sums are kept this much above their weight, so that f16 holds weights down to 2^-38 of the largest. */
const LIFT = '14.0f';

/**
 * Bindings: shape, q, k, scores, kept, [previous starts, counts], [pages]. Workgroups: any number (x).
 *
 * The lanes of a row share its maximum. A row that sees no key, or one that makes its sum no number, does not vote.
 */
export function matrixVoteCode(kernel: MatrixVoteKernel): string {
  const { constants, dims, rows, subgroupSize, tiling, vote, z } = kernel;
  const { headDim, sink, pageShift } = constants;
  const { keyTiles, buffers } = tiling;
  const channels = channelOctets(headDim, dims);
  const stage = voteStaging(headDim, kernel);
  const { octets, lanes, columns } = stage;
  const stride = stagedStride(stage);
  const steps = (8 * octets) / TILE;
  const subgroups = subgroupsOf(rows);
  const allRows = subgroups * TILE;
  const rowLanes = subgroupSize / TILE;
  /** Vectors of four products that a lane takes of its row, and octets of f16 sums that they make. */
  const vectors = columns / 4 / rowLanes;
  const octetsKept = vectors / 4;
  const shuffles = Array.from({ length: Math.log2(rowLanes) }, (_, i) => TILE * 2 ** i);
  const half = columns * stride;
  const products = productStride(tiling);
  const productHalf = allRows * products;
  const chosen = chosenRounds(kernel);
  const factorStride = allRows + 1;
  const buffer = (index: string, each: number): string => (buffers === 1 ? '0u' : `(${index}) % 2u * ${each}u`);
  const each = (statement: (v: number) => string): string => unroll(vectors, statement);
  // A positive scale does not change which logit is the largest: it is applied on the way into the exponential.
  const direct = vote.softcap === undefined && vote.scale > 0;
  const factor = float(vote.scale * Math.LOG2E);
  const weight = (v: number): string =>
    direct ? `exp2(fma(x${v}, vec4f(${factor}), vec4f(-base)))` : `exp2(x${v} - vec4f(base))`;
  const largest = (name: string): string => (direct ? `${name} * ${factor}` : name);
  const slot = (index: string): string => `(${index}) * ${columns}u`;
  const fetch = (index: string): string =>
    fetchCode(
      stage,
      'k',
      `key_octet(batch, min(slot_key(cell, ${slot(index)} + n, chosen, sinks, recent), shape.keys - 1u), head)`,
    );
  const multiply = unroll(
    keyTiles,
    (t) => `      var c${t} = Result();
      ${multiplyColumns(`c${t}`, { name: 'a', first: 0, count: steps }, 'staged', `columns + ${t * TILE * stride}u`, `${stride}u`)}
      subgroupMatrixStore<row_major>(&tiles, products + ${(t * TILE) / 4}u, c${t}, ${products}u);`,
  );
  const reduce = (index: string): string => `{
        let first = ${slot(index)};
        let row_at = ${buffer(index, productHalf)} + (subgroup * ${TILE}u + r) * ${products}u + part * ${vectors}u;
        // Candidates ascend: before the last of them, and before the first row's window, every row sees all.
        let whole = first + ${columns}u <= chosen && slot_key(cell, first + ${columns - 1}u, chosen, sinks, recent) < recent;
${each((v) => `        var x${v} = tiles[row_at + ${v}u];${direct ? '' : ` x${v} = vec4f(logit(x${v}.x), logit(x${v}.y), logit(x${v}.z), logit(x${v}.w));`}`)}
        if (!whole) {
${each(
  (v) => `          {
            let place = first + part * ${4 * vectors}u + ${4 * v}u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x${v} = select(vec4f(${LOWEST}), x${v}, sees);
          }`,
)}
        }
        var four = x0;
${unroll(vectors - 1, (v) => `        four = max(four, x${v + 1});`)}
        let highest = max(max(four.x, four.y), max(four.z, four.w));
        var top = max(m, select(${largest('highest')}, ${LOWEST}, highest <= ${LOWEST}));
${shuffles.map((step) => `        top = max(top, subgroupShuffleXor(top, ${step}u));`).join('\n')}
        l *= exp2(max(m - top, -150.0f));
        m = top;
        let base = top - ${LIFT};
${each((v) => `        var e${v} = ${weight(v)};`)}
        if (!whole) {
${each((v) => `          e${v} = select(e${v}, vec4f(0.0), x${v} <= vec4f(${LOWEST}));`)}
        }
        var added = e0;
${unroll(vectors - 1, (v) => `        added += e${v + 1};`)}
        l += added.x + added.y + added.z + added.w;
        if (first < chosen) {
          let keep_at = kept_base + ((${index}) * ${allRows}u + row) * ${keyTiles}u + part * ${octetsKept}u;
${unroll(octetsKept, (o) => `          kept[keep_at + ${o}u] = vec4u(${unroll(4, (i) => `pairs(e${4 * o + i})`, ', ')});`)}
          if (part == 0u) { factors[(${index}) * ${factorStride}u + row] = m; }
        }
      }`;
  const pipelined = `      if (index + 1u < rounds) { ${putCode(stage, buffer('index + 1u', half))} }
      if (index + 2u < rounds) { ${fetch('index + 2u')} }
${multiply}
      if (index > 0u) ${reduce('index - 1u')}
      workgroupBarrier();`;
  const plain = `      ${putCode(stage)}
      workgroupBarrier();
      if (index + 1u < rounds) { ${fetch('index + 1u')} }
${multiply}
      workgroupBarrier();
      ${reduce('index')}`;
  /** Rows whose kept sums are read together. */
  const batchRows = 8;
  return wgsl(
    MATRIX_PRELUDE,
    geometryCode(constants),
    bindings([
      'var<uniform> shape: Shape',
      'var<storage, read> q: array<vec4u>',
      'var<storage, read> k: array<vec4u>',
      'var<storage, read_write> scores: array<u32>',
      'var<storage, read_write> kept: array<vec4u>',
      ...candidateBindings(kernel),
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    heldCandidateCode(kernel, lanes),
    budgetCode(kernel),
    !direct && logitCode(vote),
    extentCode(constants),
    `// Rows at first, then rounds of keys.
var<workgroup> staged: array<vec4u, ${stagedOctets(headDim, kernel)}>;
var<workgroup> tiles: array<vec4f, ${buffers * productHalf}>;
// Each row's largest logit and one over its sum.
var<workgroup> totals: array<vec2f, ${allRows}>;
// By round and row: the maximum at that time, then what makes masses of its sums.
var<workgroup> factors: array<f32, ${chosen * factorStride}>;
fn slot_key(cell: u32, i: u32, chosen: u32, sinks: u32, recent: u32) -> u32 {
  if (i >= chosen + sinks) { return recent + i - chosen - sinks; }
  if (i >= chosen) { return i - chosen; }
  return SINK + candidate_token(cell, i / 2u) + i % 2u;
}
fn pairs(e: vec4f) -> u32 { return pack2x16float(vec2f(e.x + e.y, e.z + e.w)); }
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let kept_base = group.x * ${keptOctets(kernel)}u;
  let r = within % ${TILE}u;
  let part = within / ${TILE}u;
  let row = subgroup * ${TILE}u + r;
  for (var cell = group.x; cell < shape.slabBlocks * ${z}u; cell += groups.x) {
    let block = block_at(shape.firstBlock + cell % shape.slabBlocks);
    let count = candidate_count(cell, block.searchable);
    let place = cell / shape.slabBlocks;
    if (count > keep_of(place)) {
    let batch = batch_of(place);
    let head = head_of(place);
    let recent = extent_of(block.first_row).start;
    let newest = extent_of(block.first_row + block.rows - 1u);
    let chosen = count * 2u;
    let sinks = min(${sink}u, newest.start);
    let total = chosen + sinks + max(newest.end, recent) - recent;
    let rounds = (total + ${columns - 1}u) / ${columns}u;
    // Absent rows repeat the last; they do not vote.
    let mine = extent_of(block.first_row + min(row, block.rows - 1u));
    var m = ${LOWEST};
    var l = 0.0f;
    hold_candidates(cell, lane);
    ${queryRowsCode({ target: 'staged', count: allRows, octets, at: channels.at, strideQ: 1, rows: 'max', lanes })}
    workgroupBarrier();
    ${loadLeft('a', steps, 'staged', `subgroup * ${TILE * octets}u`, `${octets}u`)}
    workgroupBarrier();
    ${heldCode(stage)}
    ${fetch('0u')}
    ${buffers === 2 ? `${putCode(stage)}\n    if (rounds > 1u) { ${fetch('1u')} }\n    workgroupBarrier();` : ''}
    for (var index = 0u; index < rounds; index++) {
      let columns = ${buffer('index', half)};
      let products = ${buffer('index', productHalf)} + subgroup * ${TILE * products}u;
${buffers === 2 ? pipelined : plain}
    }
    ${buffers === 2 ? reduce('rounds - 1u') : ''}
${shuffles.map((step) => `    l += subgroupShuffleXor(l, ${step}u);`).join('\n')}
    if (part == 0u) { totals[row] = vec2f(m, select(0.0f, inverse_of(m, l), row < block.rows)); }
    storageBarrier();
    workgroupBarrier();
    let filled = (chosen + ${columns - 1}u) / ${columns}u;
    for (var i = lane; i < filled * ${allRows}u; i += ${lanes}u) {
      let at = i / ${allRows}u * ${factorStride}u + i % ${allRows}u;
      let all = totals[i % ${allRows}u];
      factors[at] = select(0.0f, exp2(max(factors[at] - all.x, -150.0f)) * all.y, all.y > 0.0f);
    }
    workgroupBarrier();
    // A lane owns eight pairs, so that masses add up in one order.
    for (var i = lane; i < filled * ${keyTiles}u; i += ${lanes}u) {
      let factor_at = i / ${keyTiles}u * ${factorStride}u;
      let from_at = kept_base + i / ${keyTiles}u * ${allRows * keyTiles}u + i % ${keyTiles}u;
      var even = vec4f(0.0);
      var odd = vec4f(0.0);
      for (var first = 0u; first < ${allRows}u; first += ${batchRows}u) {
${unroll(batchRows, (j) => `        let v${j} = kept[from_at + (first + ${j}u) * ${keyTiles}u];`)}
${unroll(
  batchRows,
  (j) => `        {
          let f = factors[factor_at + first + ${j}u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v${j}, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }`,
)}
      }
      let candidate = i * 8u;
      for (var j = 0u; j < 4u; j++) {
        if (candidate + 2u * j < count) { scores[cell * shape.scoreStride + candidate + 2u * j] = ordered(even[j]); }
        if (candidate + 2u * j + 1u < count) { scores[cell * shape.scoreStride + candidate + 2u * j + 1u] = ordered(odd[j]); }
      }
    }
    workgroupBarrier();
    }
  }
}`,
  );
}
