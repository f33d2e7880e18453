// The micro-kernels: everything that multiplies matrices ends here. Six rows × eight columns fill the 15 usable vector registers of
// x64 engines: 12 sums, 2 vectors, 1 broadcast. One step of depth per iteration: unrolled, compilers regroup the sums and spill.
import { fma } from '../numbers/simd';

/**
 * out[m][0…7] = Σ_k row_m[k]·panel[k][0…7] for six rows given by pointers.
 *
 * @param rows six u32 pointers
 * @param panel [depth][8]
 * @param out rows `stride` bytes apart
 */
export function rows6(rows: usize, panel: usize, out: usize, stride: usize, depth: i32): void {
  let r0 = <usize>load<u32>(rows), r1 = <usize>load<u32>(rows, 4), r2 = <usize>load<u32>(rows, 8);
  let r3 = <usize>load<u32>(rows, 12), r4 = <usize>load<u32>(rows, 16), r5 = <usize>load<u32>(rows, 20);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0;
  let b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0;
  const end = panel + (<usize>depth << 5);
  do {
    const left = v128.load(panel), right = v128.load(panel, 16);
    let s = v128.load32_splat(r0); a0 = fma(s, left, a0); b0 = fma(s, right, b0);
    s = v128.load32_splat(r1); a1 = fma(s, left, a1); b1 = fma(s, right, b1);
    s = v128.load32_splat(r2); a2 = fma(s, left, a2); b2 = fma(s, right, b2);
    s = v128.load32_splat(r3); a3 = fma(s, left, a3); b3 = fma(s, right, b3);
    s = v128.load32_splat(r4); a4 = fma(s, left, a4); b4 = fma(s, right, b4);
    s = v128.load32_splat(r5); a5 = fma(s, left, a5); b5 = fma(s, right, b5);
    r0 += 4; r1 += 4; r2 += 4; r3 += 4; r4 += 4; r5 += 4;
    panel += 32;
  } while (panel < end);
  v128.store(out, a0); v128.store(out, b0, 16); out += stride;
  v128.store(out, a1); v128.store(out, b1, 16); out += stride;
  v128.store(out, a2); v128.store(out, b2, 16); out += stride;
  v128.store(out, a3); v128.store(out, b3, 16); out += stride;
  v128.store(out, a4); v128.store(out, b4, 16); out += stride;
  v128.store(out, a5); v128.store(out, b5, 16);
}

/** `rows6` for four rows. */
export function rows4(rows: usize, panel: usize, out: usize, stride: usize, depth: i32): void {
  let r0 = <usize>load<u32>(rows), r1 = <usize>load<u32>(rows, 4), r2 = <usize>load<u32>(rows, 8), r3 = <usize>load<u32>(rows, 12);
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const end = panel + (<usize>depth << 5);
  do {
    const left = v128.load(panel), right = v128.load(panel, 16);
    let s = v128.load32_splat(r0); a0 = fma(s, left, a0); b0 = fma(s, right, b0);
    s = v128.load32_splat(r1); a1 = fma(s, left, a1); b1 = fma(s, right, b1);
    s = v128.load32_splat(r2); a2 = fma(s, left, a2); b2 = fma(s, right, b2);
    s = v128.load32_splat(r3); a3 = fma(s, left, a3); b3 = fma(s, right, b3);
    r0 += 4; r1 += 4; r2 += 4; r3 += 4;
    panel += 32;
  } while (panel < end);
  v128.store(out, a0); v128.store(out, b0, 16); out += stride;
  v128.store(out, a1); v128.store(out, b1, 16); out += stride;
  v128.store(out, a2); v128.store(out, b2, 16); out += stride;
  v128.store(out, a3); v128.store(out, b3, 16);
}

/**
 * Products of `count` rows with `panels` panels: out[row][panel·8 …] = row · panel. Panels vary fastest, so a row is read from
 * memory once.
 *
 * @param rows u32 pointers, `count` a multiple of 4
 * @param panel [panels][depth][8]
 */
export function rowsByPanels(rows: usize, count: i32, panel: usize, panels: i32, out: usize, stride: usize, depth: i32): void {
  const panelBytes = <usize>depth << 5;
  const last = panel + <usize>panels * panelBytes;
  while (count > 0) {
    // Sixes, and fours where sixes would leave two.
    const six = count == 6 || count > 8;
    let to = out;
    for (let at = panel; at < last; at += panelBytes) {
      if (six) rows6(rows, at, to, stride, depth);
      else rows4(rows, at, to, stride, depth);
      to += 32;
    }
    const taken = six ? 6 : 4;
    rows += <usize>taken << 2;
    out += <usize>taken * stride;
    count -= taken;
  }
}

/**
 * out[m][0…7] += Σ_j weights[j][m]·vector_j[0…7] for six m.
 *
 * @param vectors `count` u32 pointers; `offset` bytes are added to each
 * @param weights [count][m …], rows `weightStride` bytes apart
 * @param out rows `stride` bytes apart
 */
export function mix6(vectors: usize, count: i32, offset: usize, weights: usize, weightStride: usize, out: usize, stride: usize): void {
  const out1 = out + stride, out2 = out1 + stride, out3 = out2 + stride, out4 = out3 + stride, out5 = out4 + stride;
  let a0 = v128.load(out), b0 = v128.load(out, 16), a1 = v128.load(out1), b1 = v128.load(out1, 16), a2 = v128.load(out2), b2 = v128.load(out2, 16);
  let a3 = v128.load(out3), b3 = v128.load(out3, 16), a4 = v128.load(out4), b4 = v128.load(out4, 16), a5 = v128.load(out5), b5 = v128.load(out5, 16);
  const end = vectors + (<usize>count << 2);
  do {
    const vector = <usize>load<u32>(vectors) + offset;
    const left = v128.load(vector), right = v128.load(vector, 16);
    let s = v128.load32_splat(weights); a0 = fma(s, left, a0); b0 = fma(s, right, b0);
    s = v128.load32_splat(weights, 4); a1 = fma(s, left, a1); b1 = fma(s, right, b1);
    s = v128.load32_splat(weights, 8); a2 = fma(s, left, a2); b2 = fma(s, right, b2);
    s = v128.load32_splat(weights, 12); a3 = fma(s, left, a3); b3 = fma(s, right, b3);
    s = v128.load32_splat(weights, 16); a4 = fma(s, left, a4); b4 = fma(s, right, b4);
    s = v128.load32_splat(weights, 20); a5 = fma(s, left, a5); b5 = fma(s, right, b5);
    weights += weightStride;
    vectors += 4;
  } while (vectors < end);
  v128.store(out, a0); v128.store(out, b0, 16); v128.store(out1, a1); v128.store(out1, b1, 16); v128.store(out2, a2); v128.store(out2, b2, 16);
  v128.store(out3, a3); v128.store(out3, b3, 16); v128.store(out4, a4); v128.store(out4, b4, 16); v128.store(out5, a5); v128.store(out5, b5, 16);
}

/** `mix6` for four m. */
export function mix4(vectors: usize, count: i32, offset: usize, weights: usize, weightStride: usize, out: usize, stride: usize): void {
  const out1 = out + stride, out2 = out1 + stride, out3 = out2 + stride;
  let a0 = v128.load(out), b0 = v128.load(out, 16), a1 = v128.load(out1), b1 = v128.load(out1, 16);
  let a2 = v128.load(out2), b2 = v128.load(out2, 16), a3 = v128.load(out3), b3 = v128.load(out3, 16);
  const end = vectors + (<usize>count << 2);
  do {
    const vector = <usize>load<u32>(vectors) + offset;
    const left = v128.load(vector), right = v128.load(vector, 16);
    let s = v128.load32_splat(weights); a0 = fma(s, left, a0); b0 = fma(s, right, b0);
    s = v128.load32_splat(weights, 4); a1 = fma(s, left, a1); b1 = fma(s, right, b1);
    s = v128.load32_splat(weights, 8); a2 = fma(s, left, a2); b2 = fma(s, right, b2);
    s = v128.load32_splat(weights, 12); a3 = fma(s, left, a3); b3 = fma(s, right, b3);
    weights += weightStride;
    vectors += 4;
  } while (vectors < end);
  v128.store(out, a0); v128.store(out, b0, 16); v128.store(out1, a1); v128.store(out1, b1, 16);
  v128.store(out2, a2); v128.store(out2, b2, 16); v128.store(out3, a3); v128.store(out3, b3, 16);
}

/**
 * out[m][0 … width) += Σ_j weights[j][m]·vector_j[0 … width).
 *
 * @param rows m, a multiple of 4
 * @param width a multiple of 8
 */
export function mix(vectors: usize, count: i32, weights: usize, weightStride: usize, out: usize, rows: i32, width: i32): void {
  const stride = <usize>width << 2;
  while (rows > 0) {
    const six = rows == 6 || rows > 8;
    for (let offset: usize = 0; offset < stride; offset += 32) {
      if (six) mix6(vectors, count, offset, weights, weightStride, out + offset, stride);
      else mix4(vectors, count, offset, weights, weightStride, out + offset, stride);
    }
    const taken = six ? 6 : 4;
    weights += <usize>taken << 2;
    out += <usize>taken * stride;
    rows -= taken;
  }
}
