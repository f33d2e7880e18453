// WGSL snippets that read and write four numbers at a time from f32, f16 and packed f16 buffers, always as vec4<f32>.
import type { StorageAccess } from '../device/features.ts';
import { HALF_FUNCTIONS } from './finite.ts';

/** The array element that holds four numbers. */
export function vec4Type(access: StorageAccess): string {
  return access === 'f32' ? 'vec4<f32>' : access === 'f16' ? 'vec4<f16>' : 'vec2<u32>';
}

/** Expression: `vec4<f32>` of four stored numbers; `element` is an expression of {@link vec4Type}. */
export function unpackVec4(access: StorageAccess, element: string): string {
  if (access === 'f32') return element;
  return access === 'f16' ? `vec4<f32>(${element})` : `unpackVec4(${element})`;
}

/** Expression of {@link vec4Type} from an expression of `vec4<f32>`. `mean`: of stored numbers, so that what is finite stays finite. */
export function packVec4(access: StorageAccess, value: string, mean = false): string {
  if (access === 'f32') return value;
  const packed = `${mean ? 'packMeans' : 'packVec4'}(${value})`;
  return access === 'f16' ? `bitcast<vec4<f16>>(${packed})` : packed;
}

/** `enable` directives, to stand first in a module. */
export function enables({
  access,
  subgroups = false,
  matrices = false,
}: {
  readonly access: readonly StorageAccess[];
  readonly subgroups?: boolean;
  readonly matrices?: boolean;
}): string {
  return [
    access.includes('f16') || matrices ? 'enable f16;' : '',
    subgroups || matrices ? 'enable subgroups;' : '',
    matrices ? 'enable chromium_experimental_subgroup_matrix;' : '',
  ]
    .filter(Boolean)
    .join('\n');
}

/** Functions that f16 access calls; empty for f32. */
export function storageFunctions(access: readonly StorageAccess[]): string {
  if (access.every((one) => one === 'f32')) return '';
  return `${HALF_FUNCTIONS}
fn unpackVec4(bits: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(bits.x), unpack2x16float(bits.y)); }
fn packVec4(value: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack_halves(value.xy), pack_halves(value.zw)); }
fn packMeans(value: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack_means(value.xy), pack_means(value.zw)); }`;
}
