// WGSL that moves eight stored numbers at a time: one 16-byte load of f16 (no shader-f16 needed), two of f32.
import type { ElementType } from '../../device/features.ts';

/** The array that holds octets of a stored type: element i is eight f16, elements 2i and 2i + 1 are eight f32. */
export function octetArray(type: ElementType): string {
  return type === 'f32' ? 'array<vec4f>' : 'array<vec4u>';
}

/** Statements: `NAME_lo` and `NAME_hi` become the eight numbers of `buffer` at octet `index` (an expression evaluated once). */
export function loadOctet(type: ElementType, buffer: string, index: string, name: string): string {
  if (type === 'f32')
    return `let ${name}_at = 2u * (${index}); let ${name}_lo = ${buffer}[${name}_at]; let ${name}_hi = ${buffer}[${name}_at + 1u];`;
  return `let ${name}_bits = ${buffer}[${index}];
let ${name}_lo = vec4f(unpack2x16float(${name}_bits.x), unpack2x16float(${name}_bits.y));
let ${name}_hi = vec4f(unpack2x16float(${name}_bits.z), unpack2x16float(${name}_bits.w));`;
}

/** Statements that store two `vec4f` expressions as octet `index`. */
export function storeOctet(type: ElementType, buffer: string, index: string, lo: string, hi: string): string {
  if (type === 'f32') return `${buffer}[2u * (${index})] = ${lo}; ${buffer}[2u * (${index}) + 1u] = ${hi};`;
  return `${buffer}[${index}] = vec4u(pack2x16float((${lo}).xy), pack2x16float((${lo}).zw), pack2x16float((${hi}).xy), pack2x16float((${hi}).zw));`;
}
