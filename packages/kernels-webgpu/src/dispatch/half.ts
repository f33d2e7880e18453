// float16 on the host: browsers have WebGPU for longer than Float16Array (Chrome 113 and 135), and Node 20 and 22 have none.
import { getFloat16, setFloat16 } from '@petamoriken/float16';

/** Writes numbers as float16 from the start of `bytes`, rounded to nearest even. */
export function writeHalves(bytes: ArrayBuffer, values: Float32Array | Float64Array): void {
  if (typeof Float16Array === 'function') {
    new Float16Array(bytes, 0, values.length).set(values);
    return;
  }
  const view = new DataView(bytes);
  for (const [i, value] of values.entries()) setFloat16(view, 2 * i, value, true);
}

/** All of `bytes` as float16; exact. */
export function readHalves(bytes: ArrayBuffer): Float32Array {
  if (typeof Float16Array === 'function') return Float32Array.from(new Float16Array(bytes));
  const view = new DataView(bytes);
  return Float32Array.from({ length: bytes.byteLength >> 1 }, (_, i) => getFloat16(view, 2 * i, true));
}
