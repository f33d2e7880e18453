// WGSL that moves eight stored numbers at a time: one 16-byte load of f16 (no shader-f16 needed), two of f32.
import { HALF_FUNCTIONS } from '../../code/finite.ts';
import type { ElementType } from '../../device/features.ts';

/** The array that holds octets of a stored type: element i is eight f16, elements 2i and 2i + 1 are eight f32. */
export function octetArray(type: ElementType): string {
  return type === 'f32' ? 'array<vec4f>' : 'array<vec4u>';
}

/**
 * Statements: `NAME_lo` and `NAME_hi` become the eight numbers of `buffer` at octet `index` (an expression evaluated once).
 *
 * @param present condition under which they count; zeros otherwise, whatever is stored there
 */
export function loadOctet(type: ElementType, buffer: string, index: string, name: string, present?: string): string {
  const held = (zero: string, value: string): string =>
    present === undefined ? value : `select(${zero}, ${value}, ${present})`;
  if (type === 'f32')
    return `let ${name}_at = 2u * (${index}); let ${name}_lo = ${held('vec4f(0.0)', `${buffer}[${name}_at]`)}; let ${name}_hi = ${held('vec4f(0.0)', `${buffer}[${name}_at + 1u]`)};`;
  return `let ${name}_bits = ${held('vec4u(0u)', `${buffer}[${index}]`)};
let ${name}_lo = vec4f(unpack2x16float(${name}_bits.x), unpack2x16float(${name}_bits.y));
let ${name}_hi = vec4f(unpack2x16float(${name}_bits.z), unpack2x16float(${name}_bits.w));`;
}

/** Functions that {@link storeOctet} calls. */
export function octetFunctions(type: ElementType): string {
  return type === 'f32' ? '' : HALF_FUNCTIONS;
}

/** Statements that store two `vec4f` expressions, numbers that are stored or means of such, as octet `index`. */
export function storeOctet(type: ElementType, buffer: string, index: string, lo: string, hi: string): string {
  if (type === 'f32') return `${buffer}[2u * (${index})] = ${lo}; ${buffer}[2u * (${index}) + 1u] = ${hi};`;
  return `${buffer}[${index}] = vec4u(pack_means((${lo}).xy), pack_means((${lo}).zw), pack_means((${hi}).xy), pack_means((${hi}).zw));`;
}
