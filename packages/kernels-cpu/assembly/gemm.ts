// C[M×N] = A[M×K] · B[K×N], B packed into panels of 8 columns. Work item: (batch, block of 64 rows, block of panels).
import * as J from './job';
import { PANEL, tile4x8 } from './simd';

const ROWS: i32 = 64;
const PANELS: i32 = 16;

/** Packs B into [batch][N/8][K][8]; columns beyond N are zero. CAUSAL = 1: B is stored transposed, [N, K]. KEYS = batches of B. */
export function packColumns(job: usize, thread: i32): void {
  const n = J.i(job, J.N), depth = J.i(job, J.DEPTH);
  const transposed = J.i(job, J.CAUSAL) != 0;
  const panels = (n + PANEL - 1) / PANEL;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const batch = item / panels, first = (item % panels) * PANEL;
    const from = J.p(job, J.K) + (<usize>batch * n * depth << 2);
    const to = J.p(job, J.KEY_PANELS) + (<usize>item * depth * PANEL << 2);
    const width = min(PANEL, n - first);
    if (transposed) {
      for (let c = 0; c < PANEL; c++) {
        const column = from + (<usize>(first + c) * depth << 2);
        for (let k: usize = 0; k < <usize>depth; k++) store<f32>(to + (k << 5) + (<usize>c << 2), c < width ? load<f32>(column + (k << 2)) : 0);
      }
    } else if (width == PANEL) {
      for (let k = 0; k < depth; k++) {
        const row = from + ((<usize>k * n + first) << 2);
        v128.store(to + (<usize>k << 5), v128.load(row));
        v128.store(to + (<usize>k << 5), v128.load(row, 16), 16);
      }
    } else {
      for (let k = 0; k < depth; k++) {
        for (let c = 0; c < PANEL; c++) store<f32>(to + (<usize>k << 5) + (<usize>c << 2), c < width ? load<f32>(from + ((<usize>k * n + first + c) << 2)) : 0);
      }
    }
  }
}

/**
 * Q: A [batches][M][K] (BATCH batches; KV_HEADS = 1 when B is shared by all batches). EXTRA = 1: A is stored transposed, [K, M].
 * V: bias [N] or 0. BLOCK_Q: activation 0 none, 1 relu.
 */
export function gemm(job: usize, thread: i32): void {
  const m = J.i(job, J.M), n = J.i(job, J.N), depth = J.i(job, J.DEPTH);
  const transposed = J.i(job, J.EXTRA) != 0, sharedB = J.i(job, J.KV_HEADS) == 1;
  const panels = (n + PANEL - 1) / PANEL;
  const rowBlocks = (m + ROWS - 1) / ROWS, panelBlocks = (panels + PANELS - 1) / PANELS;
  const bias = J.p(job, J.V);
  const a = J.scratch(job, thread);
  const depthBytes = <usize>depth << 2;
  const tile = a + <usize>ROWS * depthBytes;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const panelBlock = item % panelBlocks;
    const rowBlock = (item / panelBlocks) % rowBlocks;
    const batch = item / (panelBlocks * rowBlocks);
    const firstRow = rowBlock * ROWS;
    const rows = min(ROWS, m - firstRow);
    const padded = (rows + 3) & ~3;
    // A's rows, contiguous and padded to 4.
    const from = J.p(job, J.Q) + (<usize>batch * m * depth << 2);
    let rowsAt = from + <usize>firstRow * depthBytes;
    if (transposed || padded != rows) {
      rowsAt = a;
      if (transposed) {
        for (let k = 0; k < depth; k++) {
          const line = from + ((<usize>k * m + firstRow) << 2);
          for (let r = 0; r < rows; r++) store<f32>(a + <usize>r * depthBytes + (<usize>k << 2), load<f32>(line + (<usize>r << 2)));
        }
      } else memory.copy(a, from + <usize>firstRow * depthBytes, <usize>rows * depthBytes);
      memory.fill(a + <usize>rows * depthBytes, 0, <usize>(padded - rows) * depthBytes);
    }
    const lastPanel = min(panels, (panelBlock + 1) * PANELS);
    for (let panel = panelBlock * PANELS; panel < lastPanel; panel++) {
      const columns = J.p(job, J.KEY_PANELS) + (<usize>((sharedB ? 0 : batch * panels) + panel) * depth * PANEL << 2);
      const column = panel * PANEL;
      const width = min(PANEL, n - column);
      const out = J.p(job, J.OUT) + ((<usize>batch * m + firstRow) * n + column << 2);
      const rowBytes = <usize>n << 2;
      for (let r = 0; r < padded; r += 4) {
        const whole = width == PANEL && r + 4 <= rows;
        const to = whole ? out + <usize>r * rowBytes : tile;
        const stride = whole ? rowBytes : <usize>(PANEL << 2);
        tile4x8(rowsAt + <usize>r * depthBytes, depthBytes, columns, PANEL << 2, to, stride, depth, false);
        if (!whole) {
          for (let i = 0; i < min(4, rows - r); i++) for (let c = 0; c < width; c++) store<f32>(out + <usize>(r + i) * rowBytes + (<usize>c << 2), load<f32>(tile + (<usize>(i * PANEL + c) << 2)));
        }
        if (bias != 0) {
          for (let i = 0; i < min(4, rows - r); i++) for (let c = 0; c < width; c++) {
            const at = out + <usize>(r + i) * rowBytes + (<usize>c << 2);
            store<f32>(at, load<f32>(at) + load<f32>(bias + (<usize>(column + c) << 2)));
          }
        }
      }
    }
  }
}

/** Multiply-adds on registers only, `rounds` × 8 accumulators × 4 lanes: the machine's peak. @returns a number that keeps them alive */
export function peak(rounds: i32): f32 {
  let a = f32x4.splat(1.0000001), b = f32x4.splat(1e-9);
  let c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, c9 = a;
  for (let i = 0; i < rounds; i++) {
    if (ASC_FEATURE_RELAXED_SIMD) {
      c0 = f32x4.relaxed_madd(c0, a, b); c1 = f32x4.relaxed_madd(c1, a, b); c2 = f32x4.relaxed_madd(c2, a, b); c3 = f32x4.relaxed_madd(c3, a, b); c4 = f32x4.relaxed_madd(c4, a, b);
      c5 = f32x4.relaxed_madd(c5, a, b); c6 = f32x4.relaxed_madd(c6, a, b); c7 = f32x4.relaxed_madd(c7, a, b); c8 = f32x4.relaxed_madd(c8, a, b); c9 = f32x4.relaxed_madd(c9, a, b);
    } else {
      c0 = f32x4.add(f32x4.mul(c0, a), b); c1 = f32x4.add(f32x4.mul(c1, a), b); c2 = f32x4.add(f32x4.mul(c2, a), b); c3 = f32x4.add(f32x4.mul(c3, a), b); c4 = f32x4.add(f32x4.mul(c4, a), b);
      c5 = f32x4.add(f32x4.mul(c5, a), b); c6 = f32x4.add(f32x4.mul(c6, a), b); c7 = f32x4.add(f32x4.mul(c7, a), b); c8 = f32x4.add(f32x4.mul(c8, a), b); c9 = f32x4.add(f32x4.mul(c9, a), b);
    }
  }
  const s = f32x4.add(f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3)), f32x4.add(f32x4.add(c4, c5), f32x4.add(c6, f32x4.add(c7, f32x4.add(c8, c9)))));
  return f32x4.extract_lane(s, 0);
}
