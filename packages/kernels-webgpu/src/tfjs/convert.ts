// Numbers of tfjs' float32 tensors in the type that a cache stores, and back: eight at a time.
import { HALF_FUNCTIONS } from '../code/finite.ts';
import { bindings, wgsl } from '../code/wgsl.ts';
import { uniformBlock } from '../code/uniforms.ts';
import type { ElementType } from '../device/features.ts';
import type { GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { memoCode } from '../search/code/memo.ts';
import { loadOctet, octetArray } from '../search/code/octets.ts';

const LANES = 128;

/** In octets. */
const CONVERT = uniformBlock('Convert', { sourceAt: 'u32', resultAt: 'u32', count: 'u32' });

function convertCode({ from, to }: { readonly from: ElementType; readonly to: ElementType }): string {
  return wgsl(
    CONVERT.declaration,
    bindings([
      'var<uniform> convert: Convert',
      `var<storage, read> source: ${octetArray(from)}`,
      `var<storage, read_write> result: ${octetArray(to)}`,
    ]),
    to === 'f16' && HALF_FUNCTIONS,
    `@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * ${LANES}u;
  if (i >= convert.count) { return; }
  ${loadOctet(from, 'source', 'convert.sourceAt + i', 'x')}
  let at = convert.resultAt + i;
  ${
    to === 'f32'
      ? 'result[2u * at] = x_lo; result[2u * at + 1u] = x_hi;'
      : 'result[at] = vec4u(pack_halves(x_lo.xy), pack_halves(x_lo.zw), pack_halves(x_hi.xy), pack_halves(x_hi.zw));'
  }
}`,
  );
}

/** Adds the pass that writes `count` numbers of `from`, beginning at `fromFirst`, to `to` at `toFirst`: all multiples of eight. */
export function encodeConvert(
  call: GpuCall,
  {
    from,
    fromFirst = 0,
    to,
    toFirst = 0,
    count,
  }: {
    readonly from: GpuTensor;
    readonly fromFirst?: number;
    readonly to: GpuTensor;
    readonly toFirst?: number;
    readonly count: number;
  },
): void {
  const groups = Math.ceil(count / 8 / LANES);
  const x = Math.min(groups, call.context.limits.maxComputeWorkgroupsPerDimension);
  call.pass({
    label: 'cache/convert',
    pipeline: { label: `${from.type} as ${to.type}`, code: memoCode(convertCode, { from: from.type, to: to.type }) },
    bindings: [
      { uniform: CONVERT.pack({ sourceAt: fromFirst / 8, resultAt: toFirst / 8, count: count / 8 }) },
      { buffer: from.buffer },
      { buffer: to.buffer },
    ],
    workgroups: [x, Math.ceil(groups / x)],
  });
}
