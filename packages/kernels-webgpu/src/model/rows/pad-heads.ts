// Heads as the attention's kernels want them: a multiple of eight numbers, in the cache's type, also on devices that write no f16.
import { HALF_FUNCTIONS } from '../../code/finite.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import type { ElementType } from '../../device/features.ts';
import type { GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { checkCounts, rangeOf } from '../check.ts';
import { spreadRows } from '../spread.ts';
import { numberAt, numbersOf } from './norm-code.ts';

const THREADS = 256;

const params = uniformBlock('Params', { heads: 'u32' });

/** A thread writes a word: an f32, or two f16. */
export function padHeadsCode(from: ElementType, to: ElementType, fromWidth: number, toWidth: number): string {
  const each = to === 'f16' ? 2 : 1;
  const words = Math.ceil(toWidth / each);
  const read = (column: string): string =>
    fromWidth >= toWidth
      ? numberAt('x', from, `head * ${fromWidth}u + ${column}`)
      : `select(0.0, ${numberAt('x', from, `head * ${fromWidth}u + min(${column}, ${fromWidth - 1}u)`)}, ${column} < ${fromWidth}u)`;
  return wgsl(
    params.declaration,
    bindings([
      'var<uniform> params: Params',
      `var<storage, read> x: ${numbersOf(from)}`,
      `var<storage, read_write> out: array<${to === 'f16' ? 'u32' : 'f32'}>`,
    ]),
    to === 'f16' ? HALF_FUNCTIONS : '',
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = (group.y * groups.x + group.x) * ${THREADS}u + thread;
  let head = index / ${words}u;
  if (head >= params.heads) { return; }
  let column = (index % ${words}u) * ${each}u;
  out[index] = ${to === 'f16' ? `pack_halves(vec2<f32>(${read('column')}, ${read('(column + 1u)')}))` : read('column')};
}`,
  );
}

/**
 * Copies heads [heads, width] into heads of another width and type: zeros behind them where the output's are wider, their first numbers
 * where they are narrower. f16 is written as pairs, so that no device needs `shader-f16`.
 *
 * @param out [heads, toWidth], not x; an even `toWidth` where it is f16
 * @throws HipError `invalid-shape`
 */
export function encodePadHeads(
  call: GpuCall,
  { x, out }: { readonly x: GpuTensor; readonly out: GpuTensor },
  { heads, fromWidth, toWidth }: { readonly heads: number; readonly fromWidth: number; readonly toWidth: number },
): void {
  checkCounts({ heads, fromWidth, toWidth, pairs: out.type === 'f16' ? toWidth / 2 : 1 });
  const words = heads * (out.type === 'f16' ? toWidth / 2 : toWidth);
  call.pass({
    label: 'pad-heads',
    pipeline: { label: 'pad-heads', code: padHeadsCode(x.type, out.type, fromWidth, toWidth) },
    bindings: [
      { uniform: params.pack({ heads }) },
      rangeOf('x', x, heads * fromWidth),
      rangeOf('out', out, heads * toWidth),
    ],
    workgroups: spreadRows(Math.ceil(words / THREADS), call.context.limits),
  });
}
