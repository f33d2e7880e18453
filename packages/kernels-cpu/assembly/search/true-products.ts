// Products of keys that are not finite, which have no integers: one by one, of floats, in place of what their groups have.
import { slowHalf } from '../cache/channels';
import { groupBytes, KEYS } from '../cache/compact';
import * as J from '../job';
import { keyAddress, rowBytes } from '../cache/pages';
import { decodeHalves } from '../numbers/half';
import * as S from './scratch';

/** Whether some key of a group is not finite. */
// @ts-ignore: decorator
@inline
export function hasSpecial(job: usize, group: usize, steps: i32): bool {
  if (!J.i(job, J.SPECIAL)) return false;
  const units = v128.load(group + groupBytes(steps) - 32);
  return v128.any_true(f32x4.ne(units, units));
}

/**
 * Writes the products, times `factor`, of a group's keys that are not finite with sampled rows [row, row + rows).
 *
 * @param key the group's first key
 * @param out f32 [4 keys][stride] of `rows` each
 */
export function trueProducts(job: usize, s: usize, b: i32, kv: i32, group: usize, key: i32, row: i32, rows: i32, factor: f32, out: usize, stride: usize): void {
  const units = group + groupBytes(load<i32>(s + S.DEPTH)) - 32, d = J.i(job, J.HEAD_DIM), narrow = load<i32>(s + S.FORM) == S.SLOW_HALF;
  const depth = narrow ? (d >> 2) << 1 : d, lineBytes = <usize>d << 2, line = S.unpackedAt(job, s);
  for (let j = 0; j < KEYS; j++) {
    const unit = load<f32>(units + (<usize>j << 2));
    if (unit == unit || key + j < 0 || key + j >= J.i(job, J.KEYS)) continue;
    let from = keyAddress(job, b, kv, key + j, rowBytes(job));
    if (J.i(job, J.HALF)) {
      decodeHalves(from, line, J.i(job, J.PADDED_DIM), true);
      from = line;
    }
    if (narrow) {
      slowHalf(from, line + (lineBytes << 1), d);
      from = line + (lineBytes << 1);
    }
    for (let r = 0; r < rows; r++) {
      const query = S.averageAt(job, s) + <usize>(row + r) * lineBytes;
      let sum: f32 = 0;
      for (let c: usize = 0; c < <usize>depth << 2; c += 4) sum += load<f32>(from + c) * load<f32>(query + c);
      store<f32>(out + <usize>j * stride + (<usize>r << 2), sum * factor);
    }
  }
}
