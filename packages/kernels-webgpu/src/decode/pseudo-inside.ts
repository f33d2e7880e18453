// A row's pseudo-keys as one more workgroup of the split-key kernel: it lists them from the row's blocks and attends to them, so that
// neither the list nor its part takes a dispatch of its own.
import { LOWEST } from '../code/softmax.ts';
import { unroll } from '../code/wgsl.ts';

/** Pseudo-keys of a row at most, and blocks of a mask, that this kernel holds. */
export const MOST_INSIDE = 256;
export const MOST_BLOCKS_INSIDE = 1024;

/** What is baked in. */
export interface PseudoInside {
  /** Keys of a base block, and whole blocks of a row at most. */
  readonly block: number;
  readonly most: number;
  /** Base blocks for which a head has room, and all its rows of means. */
  readonly baseBlocks: number;
  readonly meanRows: number;
  /** Pseudo-keys of a row at most. */
  readonly slots: number;
  /** Blocks of a mask's cell. */
  readonly capacity: number;
}

export interface PseudoSizes {
  readonly headDim: number;
  readonly lanes: number;
  readonly sink: number;
  readonly blockK: number;
  /** Query heads per kv head. */
  readonly group: number;
  readonly causal: boolean;
  readonly softcap: boolean;
}

/** Workgroup memory in bytes. */
export function pseudoInsideBytes({ slots, capacity }: Pick<PseudoInside, 'slots' | 'capacity'>): number {
  return 4 * capacity + 8 * slots;
}

/** Declarations. Expect `decode`, and `mean_at`. */
export function pseudoInsideCode({ slots, capacity }: PseudoInside): string {
  return `var<workgroup> blocks_held: array<i32, ${capacity}>;
// Of each pseudo-key: its row of means, and its logit, LOWEST for none.
var<workgroup> pseudo_rows: array<u32, ${slots}>;
var<workgroup> pseudo_weights: array<f32, ${slots}>;
// First of \`count\` blocks that ends behind \`key\` (\`reach\` = blockK), or starts there or later (0).
fn first_behind(count: u32, key: i32, reach: i32) -> u32 {
  var low = 0u;
  var high = count;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (blocks_held[middle] + reach > key) { high = middle; } else { low = middle + 1u; }
  }
  return low;
}`;
}

/**
 * Statements, with two barriers: `all` pseudo-keys, their rows and the logarithms of what they stand for. Expect `count` blocks in
 * `blocks_held`, and `row`, `lane`.
 */
export function pseudoListBody(
  { block, most, baseBlocks, slots }: PseudoInside,
  { lanes, sink, blockK, causal }: Pick<PseudoSizes, 'lanes' | 'sink' | 'blockK' | 'causal'>,
): string {
  return `let seen = ${causal ? 'clamp(i32(row / decode.blockQ * decode.blockQ + 1u + decode.keys) - i32(decode.queries), 0, i32(decode.keys))' : 'i32(decode.keys)'};
    let searched = u32(max(max(seen - i32(decode.window), 0) - ${sink}, 0));
    // Whole blocks of the smallest size of which no more than the most fit, then one for each binary digit of the rest.
    var size = ${block}u;
    var level = 0u;
    while (searched / size > ${most}u) { size *= 2u; level++; }
    let whole = searched / size;
    let rest = (searched - whole * size) / ${block}u;
    let all = min(whole + countOneBits(rest), ${slots}u);
    workgroupBarrier();
    for (var index = lane; index < all; index += ${lanes}u) {
      var start = index * size;
      var mine = size;
      var step = level;
      if (index >= whole) {
        start = whole * size;
        var skip = index - whole;
        loop {
          step--;
          let digit = 1u << step;
          if ((rest & digit) != 0u) {
            if (skip == 0u) { break; }
            skip--;
            start += digit * ${block}u;
          }
        }
        mine = ${block}u << step;
      }
      let from_key = i32(start) + ${sink};
      let to_key = from_key + i32(mine);
      let first_held = first_behind(count, from_key, ${blockK});
      let end_held = first_behind(count, to_key - 1, 0);
      var left = mine;
      if (end_held > first_held) {
        let held = (end_held - first_held) * ${blockK}u - u32(max(from_key - blocks_held[first_held], 0)) - u32(max(blocks_held[end_held - 1u] + ${blockK} - to_key, 0));
        left = mine - held;
      }
      var mean_row = start / mine;
      var rows_before = ${baseBlocks}u;
      for (var l = 0u; l < step; l++) { mean_row += rows_before; rows_before /= 2u; }
      pseudo_rows[index] = mean_row;
      pseudo_weights[index] = select(${LOWEST}, log2(f32(left)), left > 0u);
    }
    workgroupBarrier();`;
}

/**
 * Statements of the workgroup `group.x == decode.splits`. Expect `batch`, `row`, `head`, `lane`, the arrays `queries` and `sums`, and
 * that a barrier has passed since the queries were stored.
 */
export function pseudoInsideBody(kernel: PseudoInside, sizes: PseudoSizes): string {
  const { meanRows } = kernel;
  const { headDim, lanes, group, softcap } = sizes;
  const vectors = headDim / 4;
  const teams = Math.floor(lanes / vectors);
  /** Lanes that share a pseudo-key's product. */
  const pair = 2;
  const steps = Math.ceil(vectors / pair);
  const unrolled = [4, 2].find((count) => steps % count === 0 && vectors % (pair * count) === 0) ?? 1;
  return `let cell = (batch * decode.maskHeads + select(decode.headFirst + head, 0u, decode.maskHeads == 1u)) * decode.queryBlocks + row / decode.blockQ;
    let count = min(counts[cell], decode.capacity);
    for (var i = lane; i < count; i += ${lanes}u) { blocks_held[i] = starts[cell * decode.capacity + i]; }
    ${pseudoListBody(kernel, sizes)}
    let mean_base = (batch * decode.kvHeads + head / ${group}u) * ${meanRows}u;
    for (var first_of = 0u; first_of < all; first_of += ${lanes / pair}u) {
      let i = first_of + lane / ${pair}u;
      var sum = 0.0f;
      if (i < all) {
        let at = (mean_base + pseudo_rows[i]) * ${2 * vectors}u;
        for (var c = lane % ${pair}u; c < ${vectors}u; c += ${pair * unrolled}u) {
${unroll(unrolled, (u) => `          sum += dot(queries[c + ${pair * u}u], mean_at(at + c + ${pair * u}u));`)}
        }
      }
      sums[lane] = vec4f(sum, 0.0, 0.0, 0.0);
      workgroupBarrier();
      if (lane % ${pair}u == 0u && i < all) {
        let logit = (sums[lane].x + sums[lane + 1u].x) * decode.scale;
        let bias = pseudo_weights[i];
        pseudo_weights[i] = select(${LOWEST}, ${softcap ? 'capped(logit)' : 'logit'} + bias, bias > ${LOWEST});
      }
      workgroupBarrier();
    }
    var top = ${LOWEST};
    for (var i = 0u; i < all; i++) { top = max(top, pseudo_weights[i]); }
    let team = lane / ${vectors}u;
    var value = vec4f(0.0);
    var total = 0.0f;
    if (team < ${teams}u) {
      for (var i = team; i < all; i += ${teams}u) {
        let logit = pseudo_weights[i];
        // What stands for no key must not count, whatever its numbers are; a logit that is no number must.
        if (!(logit <= ${LOWEST})) {
          let weight = exp2(logit - top);
          total += weight;
          value += weight * mean_at((mean_base + pseudo_rows[i]) * ${2 * vectors}u + ${vectors}u + lane % ${vectors}u);
        }
      }
    }
    sums[2u * lane] = value;
    sums[2u * lane + 1u] = vec4f(total, 0.0, 0.0, 0.0);
    workgroupBarrier();
    let part_at = (((batch * decode.queries + row) * decode.heads + head) * decode.allSplits + decode.allSplits - 1u) * ${vectors + 1}u;
    if (lane < ${vectors}u) {
      for (var t = 1u; t < ${teams}u; t++) {
        value += sums[2u * (t * ${vectors}u + lane)];
        total += sums[2u * (t * ${vectors}u + lane) + 1u].x;
      }
      parts[part_at + lane] = value;
      if (lane == 0u) { parts[part_at + ${vectors}u] = vec4f(top, total, 0.0, 0.0); }
    }`;
}
