// Which row of activations is not finite, so that a step that failed is known without reading them back.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { ElementType } from '../../device/features.ts';
import type { BufferRange, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, rangeOf } from '../check.ts';
import { spreadRows } from '../spread.ts';
import { numberAt, numbersOf } from './norm-code.ts';
import { ROW_THREADS } from './reduce-code.ts';

const params = uniformBlock('Params', { rows: 'u32', width: 'u32' });

export function finiteCode(type: ElementType): string {
  return wgsl(
    params.declaration,
    bindings([
      'var<uniform> params: Params',
      `var<storage, read> x: ${numbersOf(type)}`,
      'var<storage, read_write> found: array<atomic<u32>>',
    ]),
    `@compute @workgroup_size(${ROW_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  for (var i = thread; i < params.width; i += ${ROW_THREADS}u) {
    let value = ${numberAt('x', type, 'row * params.width + i')};
    if ((bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u) { atomicMax(&found[0], params.rows - row); }
  }
}`,
  );
}

/**
 * Finds the first of rows that holds NaN or infinity; {@link nonFiniteRow} reads the word.
 *
 * @param found u32, set by the call
 * @throws HipError `invalid-shape`
 */
export function encodeFinite(
  call: GpuCall,
  { x, found }: { readonly x: GpuTensor; readonly found: BufferRange },
  { rows, width }: { readonly rows: number; readonly width: number },
): void {
  checkCounts({ rows, width });
  const word = { buffer: found.buffer, offset: found.offset ?? 0, size: 4 };
  call.clear(word);
  call.pass({
    label: 'finite',
    pipeline: { label: 'finite', code: memoCode(finiteCode, x.type) },
    bindings: [{ uniform: params.pack({ rows, width }) }, rangeOf('x', x, rows * width), word],
    workgroups: spreadRows(rows, call.context.limits),
  });
}

/** The row that a word of {@link encodeFinite} names, or −1: all are finite. */
export function nonFiniteRow(found: number, rows: number): number {
  return found === 0 ? -1 : rows - found;
}
