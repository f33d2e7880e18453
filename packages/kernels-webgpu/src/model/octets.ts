// WGSL that reads activations eight numbers at a time, whatever a row's length; what is beyond the row reads as 0.
import type { ElementType } from '../device/features.ts';

/** Numbers that are read together. */
export const OCTET = 8;

/** Octets of a row, the last perhaps in part. */
export function octetsOf(columns: number): number {
  return Math.ceil(columns / OCTET);
}

/** How rows of activations are bound and read. */
export interface OctetReader {
  /** WGSL type of the binding's array. */
  readonly array: string;
  /** `fn NAME(row: u32, octet: u32) -> mat2x4<f32>` */
  readonly code: string;
  /** Whether octet o of row r is element `r · octets + o` of `array<vec4<u32>>`: eight f16 as they are multiplied. */
  readonly packed: boolean;
}

/** f16 is read as u32 words, so that no device needs `shader-f16` for it. */
export function octetReader(name: string, buffer: string, type: ElementType, columns: number): OctetReader {
  const octets = octetsOf(columns);
  const head = `fn ${name}(row: u32, octet: u32) -> mat2x4<f32> {`;
  if (columns % OCTET !== 0) {
    const read = (at: string): string =>
      type === 'f32' ? `${buffer}[${at}]` : `unpack2x16float(${buffer}[(${at}) >> 1u])[(${at}) & 1u]`;
    const code = `${head}
  var m: array<f32, 8>;
  for (var i = 0u; i < 8u; i++) { let column = octet * 8u + i; if (column < ${columns}u) { let at = row * ${columns}u + column; m[i] = ${read('at')}; } }
  return mat2x4<f32>(vec4<f32>(m[0], m[1], m[2], m[3]), vec4<f32>(m[4], m[5], m[6], m[7]));
}`;
    return { array: type === 'f32' ? 'array<f32>' : 'array<u32>', code, packed: false };
  }
  if (type === 'f32') {
    const code = `${head}
  let at = (row * ${octets}u + octet) * 2u;
  return mat2x4<f32>(${buffer}[at], ${buffer}[at + 1u]);
}`;
    return { array: 'array<vec4<f32>>', code, packed: false };
  }
  const code = `${head}
  let words = ${buffer}[row * ${octets}u + octet];
  return mat2x4<f32>(vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y)), vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w)));
}`;
  return { array: 'array<vec4<u32>>', code, packed: true };
}
