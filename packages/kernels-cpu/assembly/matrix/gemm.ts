// C[M×N] = A[M×K] · B[K×N] (+ bias), B packed into panels of eight columns.
import * as J from '../job';
import { rowsByPanels } from './tile';

/** Rows and panels of a work item. */
const ROWS: i32 = 64;
const PANELS: i32 = 16;

/** Packs B into [batch][N/8][K][8]; columns beyond N are zero. TRANSPOSE_B: B is stored [N, K]. Work item: a panel. */
export function packColumns(job: usize, thread: i32): void {
  const n = J.i(job, J.N), depth = J.i(job, J.DEPTH);
  const transposed = J.i(job, J.TRANSPOSE_B) != 0;
  const panels = (n + 7) >> 3;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const first = (item % panels) << 3;
    const from = J.p(job, J.B) + ((<usize>(item / panels) * n * depth) << 2);
    const to = J.p(job, J.COLUMNS) + ((<usize>item * depth) << 5);
    const width = min(8, n - first);
    if (width < 8) memory.fill(to, 0, <usize>depth << 5);
    if (transposed) {
      for (let c = 0; c < width; c++) {
        const column = from + ((<usize>(first + c) * depth) << 2), out = to + (<usize>c << 2);
        for (let k: usize = 0; k < <usize>depth; k++) store<f32>(out + (k << 5), load<f32>(column + (k << 2)));
      }
      continue;
    }
    for (let k = 0; k < depth; k++) {
      const row = from + ((<usize>k * n + first) << 2), out = to + (<usize>k << 5);
      if (width == 8) {
        v128.store(out, v128.load(row));
        v128.store(out, v128.load(row, 16), 16);
      } else for (let c: usize = 0; c < <usize>width << 2; c += 4) store<f32>(out + c, load<f32>(row + c));
    }
  }
}

/** Rows that packRows turns at once: a cache line of A. */
const STRIPE: i32 = 16;

/** Packs A [batch][K][M] into ROWS [batch][M], K numbers each. Work item: 16 rows. */
export function packRows(job: usize, thread: i32): void {
  const m = J.i(job, J.M), depth = J.i(job, J.DEPTH);
  const stride = J.p(job, J.ROW_STRIDE), line = <usize>m << 2;
  const stripes = (m + STRIPE - 1) / STRIPE;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const first = (item % stripes) * STRIPE, batch = item / stripes;
    const rows = min(STRIPE, m - first), fours = rows & ~3, whole = depth & ~3;
    const from = J.p(job, J.A) + ((<usize>batch * m * depth + first) << 2);
    const to = J.p(job, J.ROWS) + <usize>(batch * m + first) * stride;
    for (let k = 0; k < whole; k += 4) {
      for (let r = 0; r < fours; r += 4) {
        const source = from + <usize>k * line + (<usize>r << 2), out = to + <usize>r * stride + (<usize>k << 2);
        const a = v128.load(source), b = v128.load(source + line), c = v128.load(source + 2 * line), d = v128.load(source + 3 * line);
        const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
        const ef = v128.shuffle<f32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
        v128.store(out, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
        v128.store(out + stride, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
        v128.store(out + 2 * stride, v128.shuffle<f32>(ef, gh, 0, 1, 4, 5));
        v128.store(out + 3 * stride, v128.shuffle<f32>(ef, gh, 2, 3, 6, 7));
      }
    }
    for (let k = 0; k < depth; k++) {
      for (let r = k < whole ? fours : 0; r < rows; r++) {
        store<f32>(to + <usize>r * stride + (<usize>k << 2), load<f32>(from + <usize>k * line + (<usize>r << 2)));
      }
    }
  }
}

/** Rows [batches][M] of K numbers; SHARED_B: one B for all batches. Work item: (batch, 64 rows, 16 panels). */
export function gemm(job: usize, thread: i32): void {
  const m = J.i(job, J.M), n = J.i(job, J.N), depth = J.i(job, J.DEPTH);
  const sharedB = J.i(job, J.SHARED_B) != 0;
  const panels = (n + 7) >> 3;
  const rowBlocks = (m + ROWS - 1) / ROWS, panelBlocks = (panels + PANELS - 1) / PANELS;
  const bias = J.p(job, J.BIAS);
  const rowStride = J.p(job, J.ROW_STRIDE), outStride = <usize>n << 2;
  // Scratch: row pointers, products of rows or columns that do not fill a tile.
  const list = J.scratch(job, thread);
  const spill = list + (ROWS << 2);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const firstPanel = (item % panelBlocks) * PANELS;
    const firstRow = ((item / panelBlocks) % rowBlocks) * ROWS;
    const batch = item / (panelBlocks * rowBlocks);
    const rows = min(ROWS, m - firstRow);
    const padded = (rows + 3) & ~3;
    const base = J.p(job, J.ROWS) + <usize>(batch * m + firstRow) * rowStride;
    for (let r = 0; r < padded; r++) store<u32>(list + (<usize>r << 2), <u32>(base + <usize>min(r, rows - 1) * rowStride));
    const columns = J.p(job, J.COLUMNS) + ((<usize>((sharedB ? 0 : batch * panels) + firstPanel) * depth) << 5);
    const count = min(PANELS, panels - firstPanel);
    const width = <usize>min(count << 3, n - (firstPanel << 3)) << 2;
    const out = J.p(job, J.OUT) + ((<usize>(batch * m + firstRow) * n + (firstPanel << 3)) << 2);
    const whole = rows == padded && width == <usize>count << 5;
    rowsByPanels(list, padded, columns, count, whole ? out : spill, whole ? outStride : <usize>(PANELS << 5), depth);
    if (whole && bias == 0) continue;
    const offset = bias + (<usize>firstPanel << 5);
    for (let r: usize = 0; r < <usize>rows; r++) {
      const source = whole ? out + r * outStride : spill + r * <usize>(PANELS << 5), to = out + r * outStride;
      if (bias == 0) memory.copy(to, source, width);
      else for (let c: usize = 0; c < width; c += 4) store<f32>(to + c, load<f32>(source + c) + load<f32>(offset + c));
    }
  }
}
