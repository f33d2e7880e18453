// Products of activations with stored matrices: few rows, output by output; many rows, panel by panel.
import * as J from '../job';
import { fma } from '../numbers/simd';
import { rowsByPanels } from '../matrix/tile';
import { decodeRow } from './decode';
import * as M from './job';
import { sumOf } from './norm';

/** Outputs of a work item of `linearRows`. */
const RUN: i32 = 16;
/** Rows, and panels of eight outputs, of a work item of `linearTiles`. */
const TILE: i32 = 256;
const PANELS: i32 = 4;

// @ts-ignore: decorator
@inline
function finish(target: usize, row: i32, output: i32, value: f32): void {
  const to = J.p(target, M.TARGET_OUT) + ((<usize>row * <usize>J.i(target, M.OUTPUTS) + <usize>output) << 2);
  const bias = J.p(target, M.BIAS);
  if (bias != 0) value += load<f32>(bias + (<usize>output << 2));
  if (J.i(target, M.ADD) != 0) value += load<f32>(to);
  store<f32>(to, value);
}

function dot(a: usize, b: usize, count: i32): f32 {
  let s0 = f32x4.splat(0), s1 = s0;
  const end = a + (<usize>count << 2), whole = a + (<usize>(count & ~7) << 2);
  for (; a < whole; a += 32) {
    s0 = fma(v128.load(a), v128.load(b), s0);
    s1 = fma(v128.load(a, 16), v128.load(b, 16), s1);
    b += 32;
  }
  let sum = sumOf(f32x4.add(s0, s1));
  for (; a < end; a += 4) {
    sum += load<f32>(a) * load<f32>(b);
    b += 4;
  }
  return sum;
}

/** A few rows: each row of the matrix is read once. Work item: 16 outputs of a target. */
export function linearRows(job: usize, thread: i32): void {
  const rows = J.i(job, M.ROWS), depth = J.i(job, M.WIDTH);
  const line = M.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const target = M.targetOf(job, item);
    const first = (item - J.i(target, M.FIRST_ITEM)) * RUN, last = min(first + RUN, J.i(target, M.OUTPUTS));
    for (let output = first; output < last; output++) {
      decodeRow(J.i(target, M.TYPE), J.p(target, M.BLOCKS) + <usize>output * J.p(target, M.ROW_BYTES), line, depth);
      for (let row = 0; row < rows; row++) finish(target, row, output, dot(J.p(job, M.X) + ((<usize>row * <usize>depth) << 2), line, depth));
    }
  }
}

/** Many rows: four panels of the matrix are decoded, then multiplied by 256 rows. Work item: (256 rows, 4 panels) of a target. */
export function linearTiles(job: usize, thread: i32): void {
  const rows = J.i(job, M.ROWS), depth = J.i(job, M.WIDTH);
  const panelBytes = <usize>depth << 5;
  const line = M.scratch(job, thread);
  const list = line + ((<usize>depth * 4 + 63) & ~63);
  const spill = list + (<usize>TILE << 2);
  const panels = spill + (<usize>(TILE * PANELS) << 5);
  const rowTiles = (rows + TILE - 1) / TILE;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const target = M.targetOf(job, item), local = item - J.i(target, M.FIRST_ITEM);
    const outputs = J.i(target, M.OUTPUTS);
    const firstRow = (local % rowTiles) * TILE, firstOutput = (local / rowTiles) * (PANELS << 3);
    const count = min(TILE, rows - firstRow), padded = (count + 3) & ~3, width = min(PANELS << 3, outputs - firstOutput);
    const used = (width + 7) >> 3;
    if (width & 7) memory.fill(panels, 0, <usize>used * panelBytes);
    for (let c = 0; c < width; c++) {
      decodeRow(J.i(target, M.TYPE), J.p(target, M.BLOCKS) + <usize>(firstOutput + c) * J.p(target, M.ROW_BYTES), line, depth);
      const to = panels + <usize>(c >> 3) * panelBytes + (<usize>(c & 7) << 2);
      for (let k: usize = 0; k < <usize>depth; k++) store<f32>(to + (k << 5), load<f32>(line + (k << 2)));
    }
    const base = J.p(job, M.X) + ((<usize>firstRow * <usize>depth) << 2);
    for (let r = 0; r < padded; r++) store<u32>(list + (<usize>r << 2), <u32>(base + ((<usize>min(r, count - 1) * <usize>depth) << 2)));
    rowsByPanels(list, padded, panels, used, spill, <usize>PANELS << 5, depth);
    for (let r = 0; r < count; r++) for (let c = 0; c < width; c++) finish(target, firstRow + r, firstOutput + c, load<f32>(spill + (<usize>r * (PANELS << 5)) + (<usize>c << 2)));
  }
}
