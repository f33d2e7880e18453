// Packing: keys into transposed panels of 8, values into contiguous panels, envelopes of key chunks.
import * as J from './job';
import { PANEL } from './simd';

/** Work item: (batch, kv head, run of RUN panels). Keys beyond the last are zero. */
const RUN: i32 = 16;

export function packKeys(job: usize, thread: i32): void {
  const keys = J.i(job, J.KEYS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM);
  const panels = (keys + PANEL - 1) / PANEL;
  const runs = (panels + RUN - 1) / RUN;
  const rowBytes = <usize>(kvHeads * d) << 2;
  const dBytes = <usize>d << 2;
  const panelBytes = dBytes * PANEL;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const bh = item / runs;
    const b = bh / kvHeads, h = bh % kvHeads;
    const first = (item % runs) * RUN;
    const last = min(first + RUN, panels);
    const source = <usize>b * <usize>keys * rowBytes + <usize>h * dBytes;
    for (let panel = first; panel < last; panel++) {
      const at = (<usize>bh * panels + panel) * panelBytes;
      const kOut = J.p(job, J.KEY_PANELS) + at;
      const vOut = J.p(job, J.VALUE_PANELS) + at;
      for (let r = 0; r < PANEL; r++) {
        const key = panel * PANEL + r;
        const vTo = vOut + <usize>r * dBytes;
        if (key < keys) {
          const from = source + <usize>key * rowBytes;
          const kFrom = J.p(job, J.K) + from;
          for (let c: usize = 0; c < <usize>d; c++) store<f32>(kOut + ((c * PANEL + r) << 2), load<f32>(kFrom + (c << 2)));
          memory.copy(vTo, J.p(job, J.V) + from, dBytes);
        } else {
          for (let c: usize = 0; c < <usize>d; c++) store<f32>(kOut + ((c * PANEL + r) << 2), 0);
          memory.fill(vTo, 0, dBytes);
        }
      }
    }
  }
}

/**
 * Elementwise maximum and minimum of each chunk of keys, from SINK on, as panels of 8 chunks: [B, Hkv, panels][max, min][d][8].
 * EXTRA holds the stage whose chunk and envelope pointer are used. Work item: (batch, kv head, panel of 8 chunks).
 */
export function envelopes(job: usize, thread: i32): void {
  const keys = J.i(job, J.KEYS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM), sink = J.i(job, J.SINK);
  const stage = job + J.STAGE + <usize>J.i(job, J.EXTRA) * J.STAGE_BYTES;
  const chunk = load<i32>(stage);
  const out = <usize>load<u32>(stage + 20);
  const chunks = max(0, (keys - sink + chunk - 1) / chunk);
  const panels = (chunks + PANEL - 1) / PANEL;
  const rowBytes = <usize>(kvHeads * d) << 2;
  const half = <usize>(d * PANEL) << 2;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const bh = item / panels, panel = item % panels;
    const b = bh / kvHeads, h = bh % kvHeads;
    const source = J.p(job, J.K) + <usize>b * <usize>keys * rowBytes + (<usize>(h * d) << 2);
    const to = out + <usize>item * 2 * half;
    for (let r = 0; r < PANEL; r++) {
      const start = sink + (panel * PANEL + r) * chunk;
      const end = min(start + chunk, keys);
      for (let c = 0; c < d; c += 4) {
        const width = min(4, d - c);
        if (width == 4 && start < end) {
          let hi = v128.load(source + <usize>start * rowBytes + (<usize>c << 2));
          let lo = hi;
          for (let key = start + 1; key < end; key++) {
            const value = v128.load(source + <usize>key * rowBytes + (<usize>c << 2));
            hi = f32x4.max(hi, value);
            lo = f32x4.min(lo, value);
          }
          const at = to + (<usize>(c * PANEL + r) << 2);
          store<f32>(at, f32x4.extract_lane(hi, 0)); store<f32>(at + half, f32x4.extract_lane(lo, 0));
          store<f32>(at + 32, f32x4.extract_lane(hi, 1)); store<f32>(at + half + 32, f32x4.extract_lane(lo, 1));
          store<f32>(at + 64, f32x4.extract_lane(hi, 2)); store<f32>(at + half + 64, f32x4.extract_lane(lo, 2));
          store<f32>(at + 96, f32x4.extract_lane(hi, 3)); store<f32>(at + half + 96, f32x4.extract_lane(lo, 3));
        } else {
          for (let e = c; e < c + width; e++) {
            let hi: f32 = 0, lo: f32 = 0;
            for (let key = start; key < end; key++) {
              const value = load<f32>(source + <usize>key * rowBytes + (<usize>e << 2));
              hi = key == start ? value : max(hi, value);
              lo = key == start ? value : min(lo, value);
            }
            const at = to + (<usize>(e * PANEL + r) << 2);
            store<f32>(at, hi);
            store<f32>(at + half, lo);
          }
        }
      }
    }
  }
}
