// float16 in memory: the engine's Float16Array where there is one (Node 24, Chrome 135, Firefox 129, Safari 18.2), else a library.
import { getFloat16, setFloat16 } from '@petamoriken/float16';

/** Reads one little-endian float16 at a byte. */
export type HalfReader = (at: number) => number;

/** Little-endian float16 as float32; exact. */
export function halvesToFloats(buffer: ArrayBuffer, byteOffset: number, count: number): Float32Array<ArrayBuffer> {
  if (typeof Float16Array === 'function') return new Float32Array(new Float16Array(buffer, byteOffset, count));
  const view = new DataView(buffer, byteOffset, 2 * count);
  return Float32Array.from({ length: count }, (_, i) => getFloat16(view, 2 * i, true));
}

/** Numbers as little-endian float16, rounded to nearest even, beyond its range to infinity. */
export function floatsToHalves(values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  if (typeof Float16Array === 'function') return new Uint8Array(new Float16Array(values).buffer);
  const view = new DataView(new ArrayBuffer(2 * values.length));
  for (let i = 0; i < values.length; i++) setFloat16(view, 2 * i, values[i] as number, true);
  return new Uint8Array(view.buffer);
}

/** A reader of float16 anywhere in some bytes, aligned or not. */
export function halfReader(bytes: Uint8Array<ArrayBuffer>): HalfReader {
  if (typeof Float16Array !== 'function') {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return (at) => getFloat16(view, at, true);
  }
  const halves = new Float16Array(1);
  const raw = new Uint8Array(halves.buffer);
  return (at) => {
    raw[0] = bytes[at] as number;
    raw[1] = bytes[at + 1] as number;
    return halves[0] as number;
  };
}
