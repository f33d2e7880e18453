// Products of activations with stored matrices: few rows, group by group; many rows, panel by panel.
import * as J from '../job';
import { rowsByPanels } from '../matrix/tile';
import { BF16, decodeRow, F16, F32, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q8_0 } from './decode';
import { dotQ4K, dotQ5K, dotQ6K } from './dot256';
import { dotQ50, dotQ51 } from './dot32';
import { dotQ40, dotQ41, dotQ8 } from './dot8';
import { dotBF16, dotF16, dotF32, dotWidened } from './dot-float';
import * as M from './job';
import { groupAt, unpackRow } from './pack';
import { decodePanel } from './panel';

/** Rows, and panels of eight outputs, of a work item of `linearTiles`. */
const TILE: i32 = 256;
const PANELS: i32 = 4;

/** Writes `width` products of a row from output `first` on: plus bias, plus what was there. */
function finish(target: usize, row: i32, first: i32, from: usize, width: i32): void {
  const at = <usize>first << 2;
  const to = J.p(target, M.TARGET_OUT) + ((<usize>row * <usize>J.i(target, M.OUTPUTS)) << 2) + at;
  const bias = J.p(target, M.BIAS), add = J.i(target, M.ADD) != 0;
  let c: usize = 0;
  const end = <usize>width << 2;
  for (; c + 16 <= end; c += 16) {
    let x = v128.load(from + c);
    if (bias != 0) x = f32x4.add(x, v128.load(bias + at + c));
    if (add) x = f32x4.add(x, v128.load(to + c));
    v128.store(to + c, x);
  }
  for (; c < end; c += 4) {
    let x = load<f32>(from + c);
    if (bias != 0) x += load<f32>(bias + at + c);
    if (add) x += load<f32>(to + c);
    store<f32>(to + c, x);
  }
}

/** A group with halves that are not finite: row by row as its file has it, to a panel. */
function carefulPanel(target: usize, group: usize, to: usize, depth: i32, line: usize): void {
  const type = J.i(target, M.TYPE), bytes = J.p(target, M.ROW_BYTES), raw = line + (<usize>depth << 2);
  for (let lane = 0; lane < 8; lane++) {
    unpackRow(type, group, lane, raw, bytes);
    decodeRow(type, raw, line, depth);
    for (let k: usize = 0; k < <usize>depth; k++) store<f32>(to + (k << 5) + (<usize>lane << 2), load<f32>(line + (k << 2)));
  }
}

/** Eight products of a row with a group. */
function dotGroup(type: i32, group: usize, x: usize, quantized: usize, depth: i32, to: usize): void {
  if (type == F32) dotF32(group, x, depth, to);
  else if (type == F16) dotF16(group, x, depth, to);
  else if (type == BF16) dotBF16(group, x, depth, to);
  else if (type == Q8_0) dotQ8(group, quantized, depth, to);
  else if (type == Q4_1) dotQ41(group, quantized, depth, to);
  else if (type == Q4_0) dotQ40(group, quantized, depth, to);
  else for (let side: usize = 0; side < 2; side++) v128.store(to + (side << 4), dotQuantized(type, group + (side << 3), quantized, depth));
}

function dotQuantized(type: i32, at: usize, x: usize, depth: i32): v128 {
  if (type == Q4_K) return dotQ4K(at, x, depth);
  if (type == Q5_K) return dotQ5K(at, x, depth);
  if (type == Q5_0) return dotQ50(at, x, depth);
  if (type == Q5_1) return dotQ51(at, x, depth);
  return dotQ6K(at, x, depth);
}

/** A few rows. Work item: RUN groups of a target. */
export function linearRows(job: usize, thread: i32): void {
  const rows = J.i(job, M.ROWS), depth = J.i(job, M.WIDTH), run = J.i(job, M.RUN) << 3;
  const scratch = M.scratch(job, thread);
  const sums = scratch, panel = scratch + 64, line = panel + (<usize>depth << 5);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const target = M.targetOf(job, item), outputs = J.i(target, M.OUTPUTS);
    const first = (item - J.i(target, M.FIRST_ITEM)) * run, last = min(first + run, outputs);
    for (let output = first; output < last; output += 8) {
      let group = groupAt(target, output), type = J.i(target, M.TYPE);
      if (J.i(target, M.SPECIAL) != 0) {
        carefulPanel(target, group, panel, depth, line);
        group = panel;
        type = F32;
      }
      // Halves are widened once for all rows.
      const widened = rows > 1 && (type == F16 || type == BF16);
      if (widened) decodePanel(type, group, panel, depth);
      for (let row = 0; row < rows; row++) {
        const x = J.p(job, M.X) + ((<usize>row * <usize>depth) << 2);
        if (widened) dotWidened(panel, x, depth, sums);
        else dotGroup(type, group, x, J.p(job, M.QUANTIZED) + <usize>row * J.p(job, M.QUANTIZED_STRIDE), depth, sums);
        finish(target, row, output, sums, min(8, outputs - output));
      }
    }
  }
}

/** Many rows: four groups are decoded to panels, then multiplied by 256 rows. Work item: (256 rows, 4 panels) of a target. */
export function linearTiles(job: usize, thread: i32): void {
  const rows = J.i(job, M.ROWS), depth = J.i(job, M.WIDTH);
  const panelBytes = <usize>depth << 5;
  const list = M.scratch(job, thread);
  const spill = list + (<usize>TILE << 2);
  const panels = spill + (<usize>(TILE * PANELS) << 5), line = panels + <usize>PANELS * panelBytes;
  const rowTiles = (rows + TILE - 1) / TILE;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const target = M.targetOf(job, item), local = item - J.i(target, M.FIRST_ITEM), type = J.i(target, M.TYPE);
    const firstRow = (local % rowTiles) * TILE, firstOutput = (local / rowTiles) * (PANELS << 3);
    const count = min(TILE, rows - firstRow), padded = (count + 3) & ~3, width = min(PANELS << 3, J.i(target, M.OUTPUTS) - firstOutput);
    const used = (width + 7) >> 3;
    let from = groupAt(target, firstOutput);
    if (type != F32) {
      const groupBytes = J.p(target, M.ROW_BYTES) << 3;
      for (let p = 0; p < used; p++) {
        const to = panels + <usize>p * panelBytes;
        if (J.i(target, M.SPECIAL) != 0) carefulPanel(target, from, to, depth, line);
        else decodePanel(type, from, to, depth);
        from += groupBytes;
      }
      from = panels;
    }
    const base = J.p(job, M.X) + ((<usize>firstRow * <usize>depth) << 2);
    for (let r = 0; r < padded; r++) store<u32>(list + (<usize>r << 2), <u32>(base + ((<usize>min(r, count - 1) * <usize>depth) << 2)));
    rowsByPanels(list, padded, from, used, spill, <usize>PANELS << 5, depth);
    for (let r = 0; r < count; r++) finish(target, firstRow + r, firstOutput, spill + <usize>r * (PANELS << 5), width);
  }
}
