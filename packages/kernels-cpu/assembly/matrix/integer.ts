// Micro-kernels of compact keys (../cache/compact.ts): groups of four keys against rows of integers, twice as fast as floats, almost thrice
// where integers are bytes.
import { BYTES } from '../numbers/integer';

/** Adds a step's products to a sum. */
// @ts-ignore: decorator
@inline
function step(sum: v128, keys: v128, rows: v128): v128 {
  return BYTES ? i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(keys, rows)) : i32x4.add(sum, i32x4.dot_i16x8_s(keys, rows));
}

/** Sums as 32-bit integers. */
// @ts-ignore: decorator
@inline
function total(sum: v128): v128 { return BYTES ? i32x4.dot_i16x8_s(sum, i16x8.splat(1)) : sum; }

/** What sums of a group are worth. @param tail of the group */
// @ts-ignore: decorator
@inline
function worth(sums: v128, surplus: v128, unit: v128): v128 {
  const x = f32x4.convert_i32x4_s(sums);
  return f32x4.mul(BYTES ? f32x4.sub(x, surplus) : x, unit);
}

/**
 * Largest product of each of a group's keys with any row, in units of the rows' integers.
 *
 * @param panels rows [panel][steps][8 rows] words
 * @param most i32 [4 keys][4] of scratch: held in registers, they would push the sums out of them
 */
export function bestOfPanels(group: usize, panels: usize, count: i32, steps: i32, most: usize): v128 {
  const least = i32x4.splat(i32.MIN_VALUE);
  v128.store(most, least); v128.store(most, least, 16); v128.store(most, least, 32); v128.store(most, least, 48);
  const end = group + (<usize>steps << 4);
  for (let p = 0; p < count; p++) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    let key = group;
    do {
      const left = v128.load(panels), right = v128.load(panels, 16);
      let x = v128.load32_splat(key); a0 = step(a0, x, left); b0 = step(b0, x, right);
      x = v128.load32_splat(key, 4); a1 = step(a1, x, left); b1 = step(b1, x, right);
      x = v128.load32_splat(key, 8); a2 = step(a2, x, left); b2 = step(b2, x, right);
      x = v128.load32_splat(key, 12); a3 = step(a3, x, left); b3 = step(b3, x, right);
      panels += 32;
      key += 16;
    } while (key < end);
    v128.store(most, i32x4.max_s(v128.load(most), i32x4.max_s(total(a0), total(b0))));
    v128.store(most, i32x4.max_s(v128.load(most, 16), i32x4.max_s(total(a1), total(b1))), 16);
    v128.store(most, i32x4.max_s(v128.load(most, 32), i32x4.max_s(total(a2), total(b2))), 32);
    v128.store(most, i32x4.max_s(v128.load(most, 48), i32x4.max_s(total(a3), total(b3))), 48);
  }
  // Four horizontal maxima at once: pairs, then pairs of pairs.
  const m0 = v128.load(most), m1 = v128.load(most, 16), m2 = v128.load(most, 32), m3 = v128.load(most, 48);
  const m01 = i32x4.max_s(i32x4.shuffle(m0, m1, 0, 1, 4, 5), i32x4.shuffle(m0, m1, 2, 3, 6, 7));
  const m23 = i32x4.max_s(i32x4.shuffle(m2, m3, 0, 1, 4, 5), i32x4.shuffle(m2, m3, 2, 3, 6, 7));
  return worth(i32x4.max_s(i32x4.shuffle(m01, m23, 0, 2, 4, 6), i32x4.shuffle(m01, m23, 1, 3, 5, 7)), v128.load(end, 16), v128.load(end));
}

/** Products of a group's keys with a panel's rows, times `unit`: f32 [4 keys][8 rows]. */
export function groupByPanel(group: usize, panel: usize, steps: i32, unit: f32, out: usize): void {
  let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const end = group + (<usize>steps << 4);
  do {
    const left = v128.load(panel), right = v128.load(panel, 16);
    let x = v128.load32_splat(group); a0 = step(a0, x, left); b0 = step(b0, x, right);
    x = v128.load32_splat(group, 4); a1 = step(a1, x, left); b1 = step(b1, x, right);
    x = v128.load32_splat(group, 8); a2 = step(a2, x, left); b2 = step(b2, x, right);
    x = v128.load32_splat(group, 12); a3 = step(a3, x, left); b3 = step(b3, x, right);
    panel += 32;
    group += 16;
  } while (group < end);
  let units = f32x4.splat(load<f32>(end) * unit), surplus = v128.load32_splat(end, 16);
  v128.store(out, worth(total(a0), surplus, units)); v128.store(out, worth(total(b0), surplus, units), 16);
  units = f32x4.splat(load<f32>(end, 4) * unit); surplus = v128.load32_splat(end, 20);
  v128.store(out, worth(total(a1), surplus, units), 32); v128.store(out, worth(total(b1), surplus, units), 48);
  units = f32x4.splat(load<f32>(end, 8) * unit); surplus = v128.load32_splat(end, 24);
  v128.store(out, worth(total(a2), surplus, units), 64); v128.store(out, worth(total(b2), surplus, units), 80);
  units = f32x4.splat(load<f32>(end, 12) * unit); surplus = v128.load32_splat(end, 28);
  v128.store(out, worth(total(a3), surplus, units), 96); v128.store(out, worth(total(b3), surplus, units), 112);
}

/** Products of a group's keys with a single row [steps] words, times `unit`: one lane a key. */
export function groupByRow(group: usize, row: usize, steps: i32, unit: f32): v128 {
  let sum = i32x4.splat(0);
  const end = group + (<usize>steps << 4);
  for (; group < end; group += 16) {
    sum = step(sum, v128.load(group), v128.load32_splat(row));
    row += 4;
  }
  return worth(total(sum), v128.load(end, 16), f32x4.mul(v128.load(end), f32x4.splat(unit)));
}
