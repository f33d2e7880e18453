// WGSL that reads means as they are stored: in the type of the keys, four numbers at a time.
import type { ElementType } from '../device/features.ts';

/** The binding. */
export function meansBinding(type: ElementType): string {
  return `var<storage, read> means: array<${type === 'f32' ? 'vec4<f32>' : 'vec2<u32>'}>`;
}

/** `mean_at(i)`: four numbers of the means. */
export function meanAt(type: ElementType): string {
  if (type === 'f32') return 'fn mean_at(i: u32) -> vec4<f32> { return means[i]; }';
  return `fn mean_at(i: u32) -> vec4<f32> {
  let bits = means[i];
  return vec4<f32>(unpack2x16float(bits.x), unpack2x16float(bits.y));
}`;
}
